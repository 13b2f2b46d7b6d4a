// Segments of the archive: files as they are, and files whose checksums fit but whose blocks are anything.
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>

#include "server/ingest/archive.h"
#include "server/ingest/archive_format.h"
#include "server/ingest/archive_segment.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"
#include "tests/fuzz/fuzz.h"

namespace everstate {
namespace {

using ingest::Subscription;

// In memory where the system has such a folder: a file is written for each input.
class Folder {
 public:
  Folder() {
    const std::filesystem::path memory = "/dev/shm";
    std::string path =
        ((std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path()) / "everstate-fuzz-XXXXXX")
            .string();
    FUZZ_CHECK(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  void Write(const std::string& bytes) const {
    std::ofstream(ingest::SegmentPath(path_, 1), std::ios::binary | std::ios::trunc) << bytes;
  }

 private:
  std::filesystem::path path_;
};

// What the BlockMeta among a block's messages says, so that the reader takes it for that block; else an invented one.
BlockId IdentityOf(std::string_view raw, Slot parent, uint8_t step) {
  RecordedMessages messages(raw);
  while (true) {
    const auto message = messages.Next();
    if (!message.ok() || !message->has_value()) break;
    const auto walked = ingest::WalkMessage((*message)->bytes);
    if (!walked.ok() || walked->kind != ingest::WalkedMessage::Kind::kBlockMeta) continue;
    const ingest::BlockMetaMessage& meta = walked->meta;
    return {walked->slot, meta.blockhash, meta.parent_slot, meta.parent_blockhash, meta.block_time};
  }
  BlockId id;
  id.parent_slot = parent;
  id.slot = parent + step;
  id.blockhash.fill(static_cast<uint8_t>(id.slot));
  id.parent_blockhash.fill(static_cast<uint8_t>(parent));
  return id;
}

// A segment of blocks from pieces: its checksums fit, its sizes are near the truth, its frames hold recordings of any
// kind.
std::string BuiltSegment(fuzz::Input* input) {
  ingest::SegmentHeader header;
  header.subscription.commitment = static_cast<Commitment>(input->Byte() % 3);
  header.before_slot = input->Byte();
  for (int keys = input->Byte() % 4; keys > 0; --keys)
    header.subscription.account_owners.emplace_back().fill(input->Byte());
  std::string bytes = *ingest::EncodeSegmentHeader(header);
  Slot slot = header.before_slot;
  while (!input->empty()) {
    const uint8_t kind = input->Byte();
    const std::string_view raw = input->Piece();
    ingest::RecordHeader record;
    record.block = IdentityOf(raw, slot, kind & 3);
    slot = record.block.slot;
    std::string frame(ZSTD_compressBound(raw.size()), '\0');
    frame.resize(ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), 1));
    if ((kind & 8) != 0) frame = raw;  // not compressed at all
    record.raw_bytes = static_cast<uint32_t>(raw.size()) + (kind >> 6);
    record.frame_bytes = static_cast<uint32_t>(frame.size());
    record.frame_crc = ingest::ChecksumOf(frame);
    bytes += ingest::EncodeRecordHeader(record) + frame;
  }
  return bytes;
}

void Read(const std::filesystem::path& dir, const Subscription& wanted, Slot after) {
  BlockId position;
  position.slot = after;
  auto reader = ingest::ArchiveReader::Open(dir, wanted, position);
  if (!reader.ok()) return;
  Slot last = after;
  while (true) {
    const auto block = (*reader)->Next();
    if (!block.ok()) FUZZ_CHECK((*reader)->Next().status() == block.status());
    if (!block.ok() || *block == nullptr) return;
    FUZZ_CHECK((*block)->id.slot > last);
    last = (*block)->id.slot;
  }
}

}  // namespace
}  // namespace everstate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  static const Folder folder;
  fuzz::Input input(data, size);
  const bool built = input.Byte() % 2 != 0;
  folder.Write(built ? BuiltSegment(&input) : std::string(input.Rest()));

  const auto listing = ingest::ListArchive(folder.path(), ingest::ArchiveCheck::kFrames);
  FUZZ_CHECK(listing.ok());
  Subscription narrow;
  narrow.account_owners.emplace_back().fill(1);
  Read(folder.path(), {}, 0);
  Read(folder.path(), narrow, 3);
  return 0;
}
