// SHA-256 (FIPS 180-4), by OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace everstate {

using Sha256Digest = std::array<uint8_t, 32>;

// Sha256: a running hash.   Thread: one at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::string_view bytes);
  Sha256Digest Finish();  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest Sha256Of(std::string_view bytes);
std::string HexOf(std::string_view bytes);  // lower case

}  // namespace everstate
