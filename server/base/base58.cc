#include "server/base/base58.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace everstate {
namespace {

constexpr char kAlphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
__extension__ using Uint128 = unsigned __int128;  // for proofs at compile time

constexpr uint8_t kNoDigit = 0xff;

constexpr std::array<uint8_t, 256> MakeDigits() {
  std::array<uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (uint8_t i = 0; i < 58; ++i) digits[static_cast<uint8_t>(kAlphabet[i])] = i;
  return digits;
}
constexpr std::array<uint8_t, 256> kDigits = MakeDigits();

// The number is held in limbs of five base58 digits: 58^5 is the largest power that fits into 32 bits.
constexpr uint64_t kLimbBase = 58ull * 58 * 58 * 58 * 58;
constexpr size_t kLimbDigits = 5;

// FixedBase58<N>: N bytes as 32-bit words, most significant first, times a table that holds each word's weight 2^(32*k)
// in base 58^5, most significant limb first. The sums are brought below 58^5 only once per eight words; kFits proves
// that no sum leaves 64 bits before that.
template <size_t N>
struct FixedBase58 {
  static constexpr size_t kWords = N / 4;
  static constexpr size_t kWordsPerRound = 8;
  static constexpr size_t kLimbs = N == 32 ? 9 : 18;
  using Table = std::array<std::array<uint32_t, kLimbs>, kWords>;

  static constexpr Table MakeTable() {
    Table table{};
    std::array<uint32_t, kLimbs> weight{};
    weight[kLimbs - 1] = 1;
    for (size_t word = kWords; word-- > 0;) {
      table[word] = weight;
      uint64_t carry = 0;
      for (size_t limb = kLimbs; limb-- > 0;) {
        const uint64_t v = (static_cast<uint64_t>(weight[limb]) << 32) + carry;
        weight[limb] = static_cast<uint32_t>(v % kLimbBase);
        carry = v / kLimbBase;
      }
    }
    return table;
  }
  static constexpr Table kTable = MakeTable();

  // A limb holds at most one reduced limb, the products of a round, and the carry of the limb below it.
  static constexpr bool Fits() {
    for (size_t first = 0; first < kWords; first += kWordsPerRound) {
      Uint128 carry = 0;
      for (size_t limb = kLimbs; limb-- > 0;) {
        Uint128 sum = kLimbBase - 1 + carry;
        for (size_t word = first; word < first + kWordsPerRound; ++word) {
          sum += static_cast<Uint128>(kTable[word][limb]) * 0xffffffffu;
        }
        if (sum >> 64 != 0) return false;
        carry = sum / kLimbBase;
      }
    }
    return true;
  }
  static constexpr bool kFits = Fits();

  static size_t Encode(const uint8_t* bytes, char* out) {
    static_assert(kFits);
    std::array<uint64_t, kLimbs> limbs{};
    for (size_t first = 0; first < kWords; first += kWordsPerRound) {
      for (size_t word = first; word < first + kWordsPerRound; ++word) {
        uint32_t w;
        std::memcpy(&w, bytes + 4 * word, 4);
        const uint64_t value = __builtin_bswap32(w);
        for (size_t limb = 0; limb < kLimbs; ++limb) limbs[limb] += value * kTable[word][limb];
      }
      for (size_t limb = kLimbs - 1; limb > 0; --limb) {
        limbs[limb - 1] += limbs[limb] / kLimbBase;
        limbs[limb] %= kLimbBase;
      }
    }

    std::array<uint8_t, kLimbs * kLimbDigits> digits;
    for (size_t limb = 0; limb < kLimbs; ++limb) {
      const uint32_t v = static_cast<uint32_t>(limbs[limb]);
      uint8_t* d = digits.data() + limb * kLimbDigits;
      d[0] = static_cast<uint8_t>(v / (58 * 58 * 58 * 58));
      d[1] = static_cast<uint8_t>(v / (58 * 58 * 58) % 58);
      d[2] = static_cast<uint8_t>(v / (58 * 58) % 58);
      d[3] = static_cast<uint8_t>(v / 58 % 58);
      d[4] = static_cast<uint8_t>(v % 58);
    }
    // Each leading zero byte is one '1'; the other leading zero digits are only room.
    size_t zero_bytes = 0;
    while (zero_bytes < N && bytes[zero_bytes] == 0) ++zero_bytes;
    size_t zero_digits = 0;
    while (zero_digits < digits.size() && digits[zero_digits] == 0) ++zero_digits;
    const size_t skip = zero_digits - zero_bytes;
    for (size_t i = skip; i < digits.size(); ++i) out[i - skip] = kAlphabet[digits[i]];
    return digits.size() - skip;
  }
};

}  // namespace

size_t EncodeBase58Key32(const uint8_t* bytes, char* out) { return FixedBase58<32>::Encode(bytes, out); }
size_t EncodeBase58Sig64(const uint8_t* bytes, char* out) { return FixedBase58<64>::Encode(bytes, out); }

std::string EncodeBase58(std::span<const uint8_t> bytes) {
  const size_t zero_bytes = std::find_if(bytes.begin(), bytes.end(), [](uint8_t b) { return b != 0; }) - bytes.begin();
  std::vector<uint32_t> limbs;  // least significant first
  for (uint8_t byte : bytes.subspan(zero_bytes)) {
    uint64_t carry = byte;
    for (uint32_t& limb : limbs) {
      carry += static_cast<uint64_t>(limb) << 8;
      limb = static_cast<uint32_t>(carry % kLimbBase);
      carry /= kLimbBase;
    }
    if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
  }
  std::string text;
  text.reserve(zero_bytes + limbs.size() * kLimbDigits);
  for (uint32_t limb : limbs) {
    for (size_t i = 0; i < kLimbDigits; ++i, limb /= 58) text.push_back(kAlphabet[limb % 58]);
  }
  while (!text.empty() && text.back() == kAlphabet[0]) text.pop_back();
  text.append(zero_bytes, kAlphabet[0]);
  std::reverse(text.begin(), text.end());
  return text;
}

std::optional<std::string> DecodeBase58(std::string_view text) {
  const size_t ones = std::min(text.find_first_not_of(kAlphabet[0]), text.size());
  std::vector<uint32_t> words;  // base 2^32, least significant first
  for (char c : text.substr(ones)) {
    uint64_t carry = kDigits[static_cast<uint8_t>(c)];
    if (carry == kNoDigit) return std::nullopt;
    for (uint32_t& word : words) {
      carry += static_cast<uint64_t>(word) * 58;
      word = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) words.push_back(static_cast<uint32_t>(carry));
  }
  std::string bytes;
  bytes.reserve(ones + words.size() * 4);
  for (uint32_t word : words) {
    for (int i = 0; i < 4; ++i, word >>= 8) bytes.push_back(static_cast<char>(word & 0xff));
  }
  while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
  bytes.append(ones, '\0');
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

std::optional<std::array<uint8_t, 32>> DecodeBase58Key32(std::string_view text) {
  if (text.size() > kKey32TextMax) return std::nullopt;  // also keeps hostile text from costing its square
  const std::optional<std::string> bytes = DecodeBase58(text);
  std::array<uint8_t, 32> key;
  if (!bytes || bytes->size() != key.size()) return std::nullopt;
  std::memcpy(key.data(), bytes->data(), key.size());
  return key;
}

}  // namespace everstate
