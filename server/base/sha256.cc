#include "server/base/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace everstate {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

// OpenSSL's digest calls fail only when the library cannot provide SHA-256 at all; a store without its digests is of no
// use.
static void CheckOpenSsl(int ok) {
  if (ok != 1) std::abort();
}

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CheckOpenSsl(EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  CheckOpenSsl(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()));
}

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  CheckOpenSsl(EVP_DigestFinal_ex(context_->md, digest.data(), nullptr));
  return digest;
}

Sha256Digest Sha256Of(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

std::string HexOf(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace everstate
