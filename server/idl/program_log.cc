#include "server/idl/program_log.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/escaping.h"
#include "server/base/base58.h"

namespace everstate::idl {
namespace {

constexpr std::string_view kProgram = "Program ";
constexpr std::string_view kData = "Program data: ";
constexpr size_t kIdBytesMin = 32;  // of a program's id in base58; "log:" and its like are shorter
constexpr uint32_t kDepthMax = 64;  // Solana allows fewer; a line that says more is none of its own

// The word up to the next space, taken off the text.
std::string_view TakeWord(std::string_view* text) {
  const size_t end = std::min(text->find(' '), text->size());
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return word;
}

}  // namespace

void ProgramLog::Begin(std::span<const std::string_view> lines) {
  lines_ = lines;
  at_ = 0;
  invocations_ = 0;
  stack_.clear();
}

bool ProgramLog::Next(Data* data) {
  while (at_ < lines_.size()) {
    const std::string_view line = lines_[at_++];
    if (!line.starts_with(kData)) {
      Follow(line);
      continue;
    }
    if (stack_.empty()) continue;
    const auto program = DecodeBase58Key32(stack_.back().program);
    if (!program || !Decode(line.substr(kData.size()))) continue;
    data->program = *program;
    data->invocation = stack_.back().invocation;
    data->begun = invocations_;
    data->line = at_ - 1;
    data->bytes = {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()};
    return true;
  }
  return false;
}

// "Program <id> invoke [depth]", "Program <id> success", "Program <id> failed: …". What a program says itself comes
// behind "Program log: ", so it cannot pass for one of these.
void ProgramLog::Follow(std::string_view line) {
  if (!line.starts_with(kProgram)) return;
  std::string_view rest = line.substr(kProgram.size());
  const std::string_view id = TakeWord(&rest), what = TakeWord(&rest);
  if (what == "invoke") {
    uint32_t depth = 0;
    if (rest.size() < 3 || rest.front() != '[') return;
    const char* rest_end = rest.data() + rest.size();
    const auto [end, error] = std::from_chars(rest.data() + 1, rest_end, depth);
    if (error != std::errc() || end == rest_end || *end != ']' || depth == 0 || depth > kDepthMax) return;
    if (id.size() < kIdBytesMin) return;
    stack_.resize(depth - 1);
    stack_.push_back({id, invocations_++});
  } else if ((what == "success" || what == "failed:") && !stack_.empty() && id == stack_.back().program) {
    stack_.pop_back();
  }
}

bool ProgramLog::Decode(std::string_view base64) {
  bytes_.clear();
  while (!base64.empty()) {
    const std::string_view word = TakeWord(&base64);
    if (!absl::Base64Unescape({word.data(), word.size()}, &piece_)) return false;
    bytes_ += piece_;
  }
  return !bytes_.empty();
}

}  // namespace everstate::idl
