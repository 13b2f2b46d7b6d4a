// A planted fault: ./dev fuzz first shows that it is found, so that a run without findings says something. It takes the
// sanitizers (the read behind the buffer) and the guidance by coverage (the four bytes before it).
#include <vector>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || data[0] != 's' || data[1] != 'l' || data[2] != 'o' || data[3] != 't') return 0;
  const std::vector<uint8_t> bytes(size);
  const volatile uint8_t* const behind = bytes.data() + bytes.size();  // volatile: else nobody reads it
  static_cast<void>(*behind);
  return 0;
}
