#include "storage/row_change.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/row.h"
#include "storage/row_codec.h"
#include "storage/value_codec.h"

namespace everstate {
namespace {

template <typename... What>
absl::Status Wrong(const What&... what) {
  return absl::DataLossError(absl::StrCat("row change: ", what...));
}

// The elements of an encoded array; none where nothing or null stands. False for any other value.
bool ReadElements(std::string_view encoded, Composite* elements) {
  *elements = {};
  if (encoded.empty()) return true;
  Value value;
  if (DecodeValue(encoded.data(), encoded.data() + encoded.size(), &value) == nullptr) return false;
  return value.null_or_absent() || (value.tag == ValueTag::kArray && OpenFrame(value, elements));
}

// A field while changes are folded: a value, and elements behind it.
struct FoldedField {
  std::string_view value;
  std::vector<std::string_view> tails;
  uint64_t tail_count = 0;
  size_t tail_bytes = 0;
};

// Folder: a row taken apart. Everything in it points into the row and the changes.
class Folder {
 public:
  absl::Status Begin(std::string_view row);
  absl::Status Fold(std::string_view change);
  absl::StatusOr<std::string> Finish() const;

 private:
  absl::Status FoldField(FieldId field, bool appended, const char** at, const char* end);

  RowHead head_;
  std::vector<FoldedField> fields_;
};

absl::Status Folder::Begin(std::string_view row) {
  const char* at = row.data();
  const char* const end = at + row.size();
  const char* error = nullptr;
  if ((at = ReadRowHead(at, end, &head_, &error)) == nullptr) return Wrong("the row has ", error);
  fields_.resize(head_.fields);
  Value skipped;
  for (uint32_t f = 0; f < head_.fields; ++f) {
    if (!head_.present[f]) continue;
    const char* const begin = at;
    if ((at = DecodeValue(begin, end, &skipped)) == nullptr) return Wrong("field ", f, " of the row is no value");
    fields_[f].value = {begin, static_cast<size_t>(at - begin)};
  }
  return at == end ? absl::OkStatus() : Wrong("the row has ", end - at, " bytes behind its last field");
}

absl::Status Folder::Fold(std::string_view change) {
  const char* at = change.data();
  const char* const end = at + change.size();
  Cursor of, next;
  for (uint64_t* part : {&of.slot, &of.index, &next.slot, &next.index}) {
    if ((at = ReadVarint(at, end, part)) == nullptr) return Wrong("no two cursors at its beginning");
  }
  // The row has it already: a secondary instance may replay records of the log that its files hold, too.
  if (next <= head_.cursor) return absl::OkStatus();
  if (of != head_.cursor) {
    return Wrong("it is of the row ", of.ToSeq(), ", but the row is ", head_.cursor.ToSeq());
  }
  head_.cursor = next;
  while (at != end) {
    uint64_t tagged = 0;
    if ((at = ReadVarint(at, end, &tagged)) == nullptr || tagged / 2 >= kFieldsMax) return Wrong("no field");
    const FieldId field = static_cast<FieldId>(tagged / 2);
    if (absl::Status status = FoldField(field, tagged % 2 == 1, &at, end); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Folder::FoldField(FieldId field, bool appended, const char** at, const char* end) {
  if (field >= fields_.size()) fields_.resize(field + size_t{1});
  head_.present.set(field);
  FoldedField& folded = fields_[field];
  const char* const begin = *at;
  if (!appended) {
    Value skipped;
    if ((*at = DecodeValue(begin, end, &skipped)) == nullptr) return Wrong("field ", field, " is no value");
    folded = {{begin, static_cast<size_t>(*at - begin)}, {}, 0, 0};
    return absl::OkStatus();
  }
  uint64_t count = 0, bytes = 0;
  if ((*at = ReadVarint(*at, end, &count)) == nullptr || (*at = ReadVarint(*at, end, &bytes)) == nullptr ||
      bytes > static_cast<uint64_t>(end - *at)) {
    return Wrong("the elements of field ", field, " are cut");
  }
  folded.tails.emplace_back(*at, bytes);
  folded.tail_count += count;
  folded.tail_bytes += bytes;
  *at += bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::string> Folder::Finish() const {
  RowHead head = head_;
  head.fields = static_cast<uint32_t>(fields_.size());
  size_t bytes = HeadBytes(head);
  for (const FoldedField& field : fields_) bytes += field.value.size() + field.tail_bytes + 2 * VarintBytes(~0ull);
  std::string out;
  out.reserve(bytes);
  AppendRowHead(head, &out);
  for (size_t f = 0; f < fields_.size(); ++f) {
    const FoldedField& field = fields_[f];
    if (field.tails.empty()) {
      out.append(field.value);
      continue;
    }
    Composite array;
    if (!ReadElements(field.value, &array)) return Wrong("elements are appended to field ", f, ", which is no array");
    AppendArrayHead(array.count_or_shape + field.tail_count, array.payload.size() + field.tail_bytes, &out);
    out.append(array.payload);
    for (std::string_view tail : field.tails) out.append(tail);
  }
  return out;
}

}  // namespace

std::optional<std::string_view> AppendedElements(const Mutation& mutation, const Appended& appended) {
  Composite before, after;
  if (mutation.before && !ReadElements(mutation.before->Encoded(appended.field), &before)) return std::nullopt;
  if (!ReadElements(mutation.after->Encoded(appended.field), &after)) return std::nullopt;
  if (before.count_or_shape + appended.count != after.count_or_shape || before.payload.size() > after.payload.size()) {
    return std::nullopt;
  }
  return after.payload.substr(before.payload.size());
}

void AppendRowChange(const Mutation& mutation, std::string* out) {
  for (const Cursor& cursor : {mutation.before->cursor(), mutation.after->cursor()}) {
    AppendVarint(cursor.slot, out);
    AppendVarint(cursor.index, out);
  }
  auto appended = mutation.appended.begin();
  for (size_t f = mutation.changed._Find_first(); f < kFieldsMax; f = mutation.changed._Find_next(f)) {
    std::optional<std::string_view> elements;
    if (appended != mutation.appended.end() && appended->field == f) elements = AppendedElements(mutation, *appended);
    AppendVarint(f * 2 + (elements ? 1 : 0), out);
    if (elements) {
      AppendVarint(appended->count, out);
      AppendVarint(elements->size(), out);
    }
    out->append(elements ? *elements : mutation.after->Encoded(static_cast<FieldId>(f)));
    if (appended != mutation.appended.end() && appended->field == f) ++appended;
  }
}

absl::StatusOr<std::string> FoldRowChanges(std::string_view row, std::span<const std::string_view> changes) {
  Folder folder;
  if (absl::Status status = folder.Begin(row); !status.ok()) return status;
  for (std::string_view change : changes) {
    if (absl::Status status = folder.Fold(change); !status.ok()) return status;
  }
  return folder.Finish();
}

}  // namespace everstate
