// What the store holds, read back: values, rows, changes, the journal, records, keys, the schema, the file of a
// checkpoint. What is binary is written again byte by byte as it was, because there is one form for each content.
#include <nlohmann/json.hpp>

#include "server/base/base58.h"
#include "server/base/sha256.h"
#include "storage/checkpoint_record.h"
#include "storage/journal.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/row.h"
#include "storage/row_change.h"
#include "storage/row_schema.h"
#include "storage/value.h"
#include "tests/fuzz/fuzz.h"

namespace everstate {
namespace {

constexpr size_t kFields = 12;

const RowSchema& Schema() {
  static const std::shared_ptr<const RowSchema> schema = [] {
    std::vector<FieldDef> fields;
    for (size_t i = 0; i < kFields; ++i) fields.push_back({(i < 4 ? "a.f" : "f") + std::to_string(i), i % 5 != 4});
    return *RowSchema::Build({{"Thing", std::move(fields)}}, {{{"a", "b"}}, {{}}, {{"x"}}}, {});
  }();
  return *schema;
}

void ReadValues(std::string_view bytes) {
  ValueReader reader(bytes);
  while (!reader.done()) {
    const size_t from = reader.offset();
    const auto value = reader.Next();
    if (!value.ok()) {
      FUZZ_CHECK(reader.offset() == from && !reader.Next().ok());
      return;
    }
    std::string again;
    AppendValue(*value, &again);
    FUZZ_CHECK(again == bytes.substr(from, reader.offset() - from));
    FUZZ_CHECK(ValuesEqual(*value, *value));
  }
}

void ReadRow(std::string_view bytes) {
  const auto row = Row::Parse(std::string(bytes), kFields);
  if (!row.ok()) return;
  FUZZ_CHECK((*row)->bytes() == bytes);
  RowEditor editor;
  editor.Reset(*row, kFields);
  for (FieldId field = 0; field < kFields; ++field) {
    const Value value = editor.Get(field);
    FUZZ_CHECK(value.absent() == !(*row)->present().test(field));
    FUZZ_CHECK(value.absent() || editor.Set(field, value));
  }
  FUZZ_CHECK(editor.Changed().none());
  std::string text;
  AppendEntityJson(Schema(), Schema().entity(0), **row, &text);
  FUZZ_CHECK(nlohmann::json::accept(text));
}

void ReadChanges(fuzz::Input* input) {
  const std::string_view row = input->Piece();
  std::vector<std::string_view> changes;
  while (!input->empty() && changes.size() < 8) changes.push_back(input->Piece());
  const auto folded = FoldRowChanges(row, changes);
  if (!folded.ok()) return;
  // Folding does not look inside of values; all else of a row is whole.
  const auto parsed = Row::Parse(*folded, kFieldsMax);
  FUZZ_CHECK(parsed.ok() || parsed.status().message().find(" is no value ") != std::string_view::npos);
  const auto again = FoldRowChanges(*folded, changes);
  FUZZ_CHECK(again.ok() && *again == *folded);
}

void ReadJournal(std::string_view bytes) {
  const auto row = ParseJournalRow(7, bytes);
  const auto head = ParseJournalHead(7, bytes);
  FUZZ_CHECK(head.ok() || !row.ok());
  if (row.ok()) FUZZ_CHECK(head->cursor == row->cursor && head->kind == row->kind);
}

template <typename Decode, typename Encode>
void ThereAndBack(std::string_view bytes, Decode decode, Encode encode) {
  if (const auto record = decode(bytes); record.ok()) FUZZ_CHECK(encode(*record) == bytes);
}

void ReadRecords(std::string_view bytes) {
  ThereAndBack(bytes, DecodeWatermark, EncodeWatermark);
  ThereAndBack(bytes, DecodeNumber, EncodeNumber);
  ThereAndBack(bytes, DecodeGap, EncodeGap);
  ThereAndBack(bytes, DecodeLineage, EncodeLineage);
  ThereAndBack(bytes, DecodeFormat, EncodeFormat);
}

void ReadKeys(std::string_view bytes) {
  KeyBuffer buffer;
  if (const auto key = ParseEntityKey(bytes)) FUZZ_CHECK(buffer.Entity(key->entity, key->key) == bytes);
  if (const auto key = ParseSideKey(bytes))
    FUZZ_CHECK(buffer.Side(key->kind, key->entity, key->name, key->id) == bytes);
  if (const auto number = ParseNumberedKey(RowKind::kJournal, bytes))
    FUZZ_CHECK(buffer.Numbered(RowKind::kJournal, *number) == bytes);
  FUZZ_CHECK(!RowKindName(bytes).empty());
  if (const auto cursor = Cursor::FromSeq(bytes)) FUZZ_CHECK(Cursor::FromSeq(cursor->ToSeq()) == cursor);
  if (const auto key = DecodeBase58Key32(bytes)) FUZZ_CHECK(EncodeBase58(*key) == bytes);
  if (const auto any = DecodeBase58(bytes)) FUZZ_CHECK(EncodeBase58(fuzz::Span(*any)) == bytes);
}

void ReadSchema(std::string_view bytes) {
  const auto schema = RowSchema::Parse(bytes);
  if (!schema.ok()) return;
  const std::string text = (*schema)->Serialize();
  const auto again = RowSchema::Parse(text);
  FUZZ_CHECK(again.ok() && (*again)->Serialize() == text);
}

// Behind a checksum that fits.
void ReadCheckpoint(std::string_view body) {
  std::string text(body);
  if (!text.ends_with('\n')) text += '\n';
  text += "sum " + HexOf(BytesOf(Sha256Of(text))) + "\n";
  const auto record = DecodeCheckpointRecord(text);
  if (!record.ok()) return;
  const std::string again = EncodeCheckpointRecord(*record);
  const auto read = DecodeCheckpointRecord(again);
  FUZZ_CHECK(read.ok() && EncodeCheckpointRecord(*read) == again);
}

}  // namespace
}  // namespace everstate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  fuzz::Input input(data, size);
  switch (input.Byte() % 8) {
    case 0:
      ReadValues(input.Rest());
      break;
    case 1:
      ReadRow(input.Rest());
      break;
    case 2:
      ReadChanges(&input);
      break;
    case 3:
      ReadJournal(input.Rest());
      break;
    case 4:
      ReadRecords(input.Rest());
      break;
    case 5:
      ReadKeys(input.Rest());
      break;
    case 6:
      ReadSchema(input.Rest());
      break;
    default:
      ReadCheckpoint(input.Rest());
  }
  return 0;
}
