// RecordMaker: a block as the archive holds it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/vm/block.h"
#include "storage/model.h"

struct ZSTD_CCtx_s;

namespace everstate::ingest {

// RecordMaker
//   Thread:    one.
//   Owns:      its buffers, which it keeps between blocks.
//   Errors:    InvalidArgument: a block of 4 GiB; Internal: of the compressor.
class RecordMaker {
 public:
  // `commitment`: which status settles the blocks.
  explicit RecordMaker(Commitment commitment);
  ~RecordMaker();
  RecordMaker(const RecordMaker&) = delete;
  bool usable() const { return compressor_ != nullptr; }  // false: no memory for a compressor

  // The block in the recording format, compressed as frame(), and the header that stands before it.
  absl::Status Make(const Block& block);
  std::string_view header() const { return header_; }
  std::string_view frame() const { return frame_; }
  // The record is not needed any more; what a very large block took is given back.
  void Forget();

 private:
  const Commitment commitment_;
  ZSTD_CCtx_s* const compressor_;
  std::string raw_, room_, header_;
  std::string_view frame_;  // in room_
};

}  // namespace everstate::ingest
