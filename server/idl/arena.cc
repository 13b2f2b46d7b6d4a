#include <algorithm>
#include <cstring>

#include "server/idl/extract.h"

namespace everstate::idl {
namespace {

constexpr size_t kChunkBytes = 64u << 10;

}  // namespace

uint8_t* Arena::Allocate(size_t bytes) {
  while (chunk_ < chunks_.size() && chunks_[chunk_].size - used_ < bytes) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    const size_t size = std::max(bytes, kChunkBytes);
    chunks_.push_back({std::make_unique_for_overwrite<uint8_t[]>(size), size});
  }
  uint8_t* out = chunks_[chunk_].bytes.get() + used_;
  used_ += bytes;
  return out;
}

std::string_view Arena::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  uint8_t* out = Allocate(bytes.size());
  std::memcpy(out, bytes.data(), bytes.size());
  return {reinterpret_cast<const char*>(out), bytes.size()};
}

// What only a large value needed is not kept: values that grow from block to block would leave a chunk of each size
// behind.
void Arena::Clear() {
  std::erase_if(chunks_, [](const Chunk& chunk) { return chunk.size > kChunkBytes; });
  chunk_ = 0;
  used_ = 0;
}

}  // namespace everstate::idl
