#include "storage/checkpoint_record.h"

#include <fmt/core.h>
#include <rocksdb/file_checksum.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>

#include "server/base/base58.h"
#include "server/base/sha256.h"
#include "storage/entity_store.h"
#include "storage/files.h"
#include "storage/records.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTitle = "everstate-checkpoint 1";
constexpr size_t kRecordBytesMax = 64 << 20;  // about a million files
constexpr std::string_view kSumLine = "sum ";
constexpr std::string_view kCrc32c = "crc32c:", kSha256 = "sha256:";

std::string EscapeText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f || byte == '%') {
      out += fmt::format("%{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> UnescapeText(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

// Takes lines off the text; the first thing that is not as it must be is kept in `failed`.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  // The value of the next line, which must begin with this word.
  std::string_view Value(std::string_view word) {
    const std::string_view line = Line();
    if (line.size() > word.size() && line.starts_with(word) && line[word.size()] == ' ') {
      return line.substr(word.size() + 1);
    }
    Fail(word);
    return {};
  }
  template <typename Integer>
  Integer Number(std::string_view word) {
    return ParseInteger<Integer>(word, Value(word));
  }
  Hash32 Hash(std::string_view word) {
    const auto hash = DecodeBase58Key32(Value(word));
    if (!hash) Fail(word);
    return hash.value_or(Hash32{});
  }
  template <typename Integer>
  Integer ParseInteger(std::string_view word, std::string_view text) {
    Integer number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) Fail(word);
    return number;
  }
  void Fail(std::string_view word) {
    if (failed_.ok()) failed_ = absl::DataLossError(fmt::format("line {} should be `{} …`", line_, word));
  }
  bool at_end() const { return rest_.empty(); }
  const absl::Status& failed() const { return failed_; }

 private:
  std::string_view Line() {
    ++line_;
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return line;
  }
  std::string_view rest_;
  size_t line_ = 0;
  absl::Status failed_;
};

CheckpointFile ReadFileLine(LineReader* lines) {
  const std::string_view value = lines->Value("file");
  const size_t first = value.find(' '), second = value.rfind(' ');
  if (first == std::string_view::npos || first == second) {
    lines->Fail("file");
    return {};
  }
  CheckpointFile file;
  file.name = value.substr(0, first);
  file.bytes = lines->ParseInteger<uint64_t>("file", value.substr(first + 1, second - first - 1));
  file.checksum = value.substr(second + 1);
  // A name that leads out of the directory is nobody's.
  const bool plain = file.name.find('/') == std::string::npos && !file.name.starts_with('.');
  if (!plain || !(file.checksum.starts_with(kCrc32c) || file.checksum.starts_with(kSha256))) lines->Fail("file");
  return file;
}

absl::StatusOr<std::string> Crc32cOfFile(const fs::path& path) {
  const auto generator = rocksdb::GetFileChecksumGenCrc32cFactory()->CreateFileChecksumGenerator({});
  const auto status = VisitBytes(path, [&](std::string_view piece) { generator->Update(piece.data(), piece.size()); });
  if (!status.ok()) return status;
  generator->Finalize();
  return std::string(kCrc32c) + HexOf(generator->GetChecksum());
}

}  // namespace

std::string CheckpointName(const BlockId& block, std::string_view lineage_hex) {
  return fmt::format("{}-{}-{}", block.slot, EncodeBase58(block.blockhash).substr(0, 8), lineage_hex.substr(0, 4));
}

std::string EncodeCheckpointRecord(const CheckpointRecord& record) {
  const CheckpointInfo& info = record.info;
  const BlockId& block = info.watermark.block;
  std::string text = fmt::format("{}\n", kTitle);
  const auto line = [&](std::string_view word, const auto& value) { text += fmt::format("{} {}\n", word, value); };
  line("format", info.format);
  line("stack-name", EscapeText(info.stack_name));
  line("stack-hash", info.stack_hash);
  line("lineage", info.lineage);
  line("generation", record.generation);
  line("number", info.watermark.number);
  line("slot", block.slot);
  line("last-index", info.watermark.last_index);
  line("blockhash", EncodeBase58(block.blockhash));
  line("parent-slot", block.parent_slot);
  line("parent-blockhash", EncodeBase58(block.parent_blockhash));
  line("block-time", block.block_time ? std::to_string(*block.block_time) : "none");
  line("entities", info.entities);
  line("created-at", info.created_at);
  for (const CheckpointFile& file : record.files) {
    line("file", fmt::format("{} {} {}", file.name, file.bytes, file.checksum));
  }
  text += fmt::format("{}{}\n", kSumLine, HexOf(BytesOf(Sha256Of(text))));
  return text;
}

absl::StatusOr<CheckpointRecord> DecodeCheckpointRecord(std::string_view text) {
  const size_t sum_at = text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
  if (sum_at == std::string_view::npos) return absl::DataLossError("it is cut");
  const std::string_view body = text.substr(0, sum_at + 1);
  if (text.substr(sum_at + 1) != fmt::format("{}{}\n", kSumLine, HexOf(BytesOf(Sha256Of(body))))) {
    return absl::DataLossError("its last line is not the checksum of the others");
  }
  if (!body.starts_with(fmt::format("{}\n", kTitle))) {
    return absl::FailedPreconditionError(
        fmt::format("its first line is `{}`, this program reads `{}`", body.substr(0, body.find('\n')), kTitle));
  }
  LineReader lines(body);
  lines.Value("everstate-checkpoint");
  CheckpointRecord record;
  CheckpointInfo& info = record.info;
  info.format = lines.Number<uint32_t>("format");
  if (lines.failed().ok() && info.format != kStoreFormat) {
    return absl::FailedPreconditionError(
        fmt::format("it is of format {}, this program reads format {}", info.format, kStoreFormat));
  }
  const auto stack_name = UnescapeText(lines.Value("stack-name"));
  if (!stack_name) lines.Fail("stack-name");
  info.stack_name = stack_name.value_or("");
  info.stack_hash = lines.Value("stack-hash");
  info.lineage = lines.Value("lineage");
  record.generation = lines.Number<uint64_t>("generation");
  BlockId& block = info.watermark.block;
  info.watermark.number = lines.Number<uint64_t>("number");
  block.slot = lines.Number<uint64_t>("slot");
  info.watermark.last_index = lines.Number<uint64_t>("last-index");
  block.blockhash = lines.Hash("blockhash");
  block.parent_slot = lines.Number<uint64_t>("parent-slot");
  block.parent_blockhash = lines.Hash("parent-blockhash");
  const std::string_view time = lines.Value("block-time");
  if (time != "none") block.block_time = lines.ParseInteger<int64_t>("block-time", time);
  info.entities = lines.Number<uint64_t>("entities");
  info.created_at = lines.Number<int64_t>("created-at");
  while (!lines.at_end() && lines.failed().ok()) {
    record.files.push_back(ReadFileLine(&lines));
    info.bytes += record.files.back().bytes;
  }
  if (!lines.failed().ok()) return lines.failed();
  return record;
}

absl::Status CheckpointDamaged(const fs::path& dir, std::string_view what) {
  return absl::DataLossError(fmt::format("checkpoint {}: {}: copy it again or delete it", dir.string(), what));
}

absl::StatusOr<CheckpointRecord> ReadCheckpointRecord(const fs::path& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return absl::NotFoundError(fmt::format("there is no checkpoint {}", dir.string()));
  const auto text = ReadFile(dir / kCheckpointFile, kRecordBytesMax);
  if (absl::IsNotFound(text.status())) {
    return CheckpointDamaged(dir, "it has no file CHECKPOINT, so it is no checkpoint or was not copied to its end");
  }
  if (!text.ok()) return text.status();
  auto record = DecodeCheckpointRecord(*text);
  if (!record.ok()) {
    const std::string what = fmt::format("file {}: {}", kCheckpointFile, std::string(record.status().message()));
    if (absl::IsDataLoss(record.status())) return CheckpointDamaged(dir, what);
    return absl::Status(record.status().code(), fmt::format("checkpoint {}: {}", dir.string(), what));
  }
  record->info.path = dir;
  record->info.name = (dir.has_filename() ? dir : dir.parent_path()).filename().string();
  return record;
}

absl::Status CheckFileSizes(const CheckpointRecord& record) {
  const fs::path& dir = record.info.path;
  const auto names = NamesIn(dir);
  if (!names.ok()) return names.status();
  std::set<std::string_view> known{kCheckpointFile};
  for (const CheckpointFile& file : record.files) {
    known.insert(file.name);
    std::error_code error;
    const uint64_t bytes = fs::file_size(dir / file.name, error);
    if (error == std::errc::no_such_file_or_directory) {
      return CheckpointDamaged(dir, fmt::format("file {} is missing", file.name));
    }
    if (error) return ErrnoStatus(error.value(), "cannot read the size of", dir / file.name);
    if (bytes != file.bytes) {
      return CheckpointDamaged(dir, fmt::format("file {} has {} bytes instead of {}", file.name, bytes, file.bytes));
    }
  }
  for (const std::string& name : *names) {
    if (!known.contains(name)) return CheckpointDamaged(dir, fmt::format("file {} does not belong to it", name));
  }
  return absl::OkStatus();
}

absl::Status CheckFileChecksums(const CheckpointRecord& record) {
  for (const CheckpointFile& file : record.files) {
    const fs::path path = record.info.path / file.name;
    const auto checksum = file.checksum.starts_with(kCrc32c) ? Crc32cOfFile(path) : Sha256OfFile(path);
    if (!checksum.ok()) return checksum.status();
    if (*checksum != file.checksum) {
      return CheckpointDamaged(record.info.path, fmt::format("file {} was changed: its checksum is {} instead of {}",
                                                             file.name, *checksum, file.checksum));
    }
  }
  return absl::OkStatus();
}

bool IsTable(std::string_view file_name) { return file_name.ends_with(".sst"); }

absl::StatusOr<std::string> Sha256OfFile(const fs::path& path) {
  Sha256 sha;
  const auto status = VisitBytes(path, [&](std::string_view piece) { sha.Update(piece); });
  if (!status.ok()) return status;
  return std::string(kSha256) + HexOf(BytesOf(sha.Finish()));
}

}  // namespace everstate
