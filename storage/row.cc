#include "storage/row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "storage/row_codec.h"
#include "storage/value_codec.h"

namespace everstate {
namespace {

// Gives each allocated object room behind it, for the offsets of a row.
template <typename T>
struct TailAllocator {
  using value_type = T;
  size_t tail_bytes;

  explicit TailAllocator(size_t bytes) : tail_bytes(bytes) {}
  template <typename U>
  TailAllocator(const TailAllocator<U>& other) : tail_bytes(other.tail_bytes) {}  // NOLINT: rebinding is implicit
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T) + tail_bytes)); }
  void deallocate(T* p, size_t) { ::operator delete(p); }
  bool operator==(const TailAllocator&) const = default;
};

constexpr size_t TailBytes(uint32_t fields) { return (fields + size_t{1}) * sizeof(uint32_t); }
constexpr size_t kSharedBytes = 32;      // a shared_ptr's counts and allocator, beside the row
constexpr size_t kChangeHeadBytes = 32;  // what a change, and each field of it, costs besides its values, about

Value Decode(std::string_view encoded) {
  Value value;
  if (encoded.empty()) return value;
  const char* after = DecodeValue(encoded.data(), encoded.data() + encoded.size(), &value);
  assert(after == encoded.data() + encoded.size());
  static_cast<void>(after);
  return value;
}

// The elements of an encoded array; an absent or null value has none. False for any other value.
bool ElementsOf(std::string_view encoded, Composite* elements) {
  const Value value = Decode(encoded);
  if (value.null_or_absent()) {
    *elements = {};
    return true;
  }
  return value.tag == ValueTag::kArray && OpenFrame(value, elements);
}

bool DepthWithin(const std::string& encoded, int depth) {
  const ValueTag tag = static_cast<ValueTag>(encoded[0]);
  if (tag != ValueTag::kArray && tag != ValueTag::kObject) return true;
  return CheckValue(encoded.data(), encoded.data() + encoded.size(), depth) != nullptr;
}

}  // namespace

std::shared_ptr<Row> Row::Make(const RowHead& head, std::string bytes) {
  auto row = std::allocate_shared<Row>(TailAllocator<Row>(TailBytes(head.fields)), Private{}, head.cursor, head.present,
                                       std::move(bytes));
  row->fields_ = head.fields;
  return row;
}

absl::StatusOr<RowRef> Row::Parse(std::string bytes, size_t field_count) {
  const auto error = [](auto... what) { return absl::DataLossError(absl::StrCat("row: ", what...)); };
  if (bytes.size() > std::numeric_limits<uint32_t>::max()) return error(bytes.size(), " bytes are too many");
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  RowHead head;
  const char* wrong = nullptr;
  if ((at = ReadRowHead(at, end, &head, &wrong)) == nullptr) return error(wrong);
  const uint32_t fields = head.fields;
  if (fields > field_count)
    return error("field ", fields - 1, " is present, but the entity has ", field_count, " fields");

  const std::shared_ptr<Row> row = Make(head, std::move(bytes));
  const char* begin = row->bytes_.data();
  at = begin + (row->bytes_.size() - static_cast<size_t>(end - at));  // short bytes moved with the string
  end = begin + row->bytes_.size();
  for (uint32_t f = 0; f < fields; ++f) {
    row->offsets()[f] = static_cast<uint32_t>(at - begin);
    if (!head.present[f]) continue;
    const char* after =
        at != end && static_cast<ValueTag>(*at) != ValueTag::kAbsent ? CheckValue(at, end, kValueDepthMax) : nullptr;
    if (after == nullptr)
      return error("field ", f, " at offset ", at - begin, " is no value of at most ", kValueDepthMax, " levels");
    at = after;
  }
  row->offsets()[fields] = static_cast<uint32_t>(at - begin);
  if (at != end) return error(end - at, " bytes behind its last field");
  return row;
}

std::string_view Row::Encoded(FieldId field) const {
  if (field >= fields_) return {};
  const uint32_t* offset = offsets() + field;
  return {bytes_.data() + offset[0], offset[1] - offset[0]};
}

Value Row::Get(FieldId field) const { return Decode(Encoded(field)); }

size_t Row::MemoryBytes() const { return kSharedBytes + sizeof(Row) + TailBytes(fields_) + bytes_.capacity() + 1; }

void RowEditor::Field::Clear() {
  encoded.clear();
  appended.clear();
  appended_count = 0;
  whole.clear();
}

void RowEditor::Reset(RowRef before, size_t field_count) {
  for (size_t f = touched_._Find_first(); f < kFieldsMax; f = touched_._Find_next(f)) fields_[f].Clear();
  touched_.reset();
  if (fields_.size() < field_count) fields_.resize(field_count);
  before_ = std::move(before);
}

std::string_view RowEditor::Base(FieldId field) const {
  const std::string& encoded = fields_[field].encoded;
  return encoded.empty() ? BeforeOf(field) : std::string_view(encoded);
}

std::string_view RowEditor::Current(FieldId field) const {
  const Field& f = fields_[field];
  if (f.appended_count == 0) return Base(field);
  if (f.whole.empty()) {
    Composite base;
    ElementsOf(Base(field), &base);
    AppendArrayHead(base.count_or_shape + f.appended_count, base.payload.size() + f.appended.size(), &f.whole);
    f.whole.append(base.payload).append(f.appended);
  }
  return f.whole;
}

Value RowEditor::Get(FieldId field) const { return Decode(Current(field)); }

bool RowEditor::Set(FieldId field, const Value& value) {
  if (value.absent()) return false;
  // The value may point into this field's own buffers, so it is encoded aside.
  scratch_.clear();
  AppendValue(value, &scratch_);
  Field& f = fields_[field];
  if (scratch_ == BeforeOf(field)) {
    f.Clear();
    touched_.reset(field);
    return true;
  }
  if (!DepthWithin(scratch_, kValueDepthMax)) return false;
  f.Clear();
  f.encoded.swap(scratch_);
  touched_.set(field);
  return true;
}

bool RowEditor::Append(FieldId field, const Value& element) {
  Composite base;
  if (element.absent() || !ElementsOf(Base(field), &base)) return false;
  scratch_.clear();
  AppendValue(element, &scratch_);
  if (!DepthWithin(scratch_, kValueDepthMax - 1)) return false;
  Field& f = fields_[field];
  f.appended.append(scratch_);
  ++f.appended_count;
  f.whole.clear();
  touched_.set(field);
  return true;
}

RowEditor::Final RowEditor::FinalOf(FieldId field, uint32_t append_keep) {
  Field& f = fields_[field];
  if (f.appended_count == 0) return {{}, Base(field), {}, false};
  Composite base;
  ElementsOf(Base(field), &base);
  std::string_view kept = base.payload, tail = f.appended;
  uint64_t count = base.count_or_shape + f.appended_count;
  const bool cut = count >= uint64_t{append_keep} * 2;
  Value skipped;
  for (; cut && count > append_keep; --count) {  // the oldest elements leave
    std::string_view& from = kept.empty() ? tail : kept;
    const char* const next = DecodeValue(from.data(), from.data() + from.size(), &skipped);
    from.remove_prefix(static_cast<size_t>(next - from.data()));
  }
  f.head.clear();
  AppendArrayHead(count, kept.size() + tail.size(), &f.head);
  return {f.head, kept, tail, f.encoded.empty() && !cut};
}

FieldSet RowEditor::Changed() const {
  FieldSet changed;
  for (size_t f = touched_._Find_first(); f < kFieldsMax; f = touched_._Find_next(f)) {
    changed.set(f, Current(static_cast<FieldId>(f)) != BeforeOf(static_cast<FieldId>(f)));
  }
  return changed;
}

RowEditor::Built RowEditor::Build(Cursor cursor, uint32_t append_keep) {
  Built built;
  finals_.resize(fields_.size());
  size_t change_bytes = kChangeHeadBytes;
  for (size_t i = touched_._Find_first(); i < kFieldsMax; i = touched_._Find_next(i)) {
    const FieldId field = static_cast<FieldId>(i);
    const Final& final = finals_[field] = FinalOf(field, append_keep);
    if (!final.appended && final.Equals(BeforeOf(field))) continue;
    built.changed.set(field);
    if (final.appended) built.appended.push_back({field, fields_[field].appended_count});
    change_bytes += kChangeHeadBytes + (final.appended ? final.tail.size() : final.size());
  }
  if (built.changed.any()) built.after = MakeRow(cursor, built.changed, change_bytes);
  return built;
}

// Runs of fields that did not change are copied from the row before in one piece.
RowRef RowEditor::MakeRow(Cursor cursor, const FieldSet& changed, size_t change_bytes) const {
  const uint32_t before_fields = before_ ? before_->fields_ : 0;
  RowHead head{cursor, before_ ? before_->present_ | changed : changed, before_fields};
  size_t value_bytes = before_ ? before_->offsets()[before_fields] - before_->offsets()[0] : 0;
  for (size_t f = changed._Find_first(); f < kFieldsMax; f = changed._Find_next(f)) {
    value_bytes += finals_[f].size() - BeforeOf(static_cast<FieldId>(f)).size();
    head.fields = std::max(head.fields, static_cast<uint32_t>(f + 1));
  }

  std::string bytes;
  bytes.reserve(HeadBytes(head) + value_bytes);
  AppendRowHead(head, &bytes);
  std::array<uint32_t, kFieldsMax + 1> offsets;
  uint32_t next = 0;
  const auto copy_before = [&](uint32_t to) {  // fields next..to-1 as they were
    const uint32_t known = std::min(to, before_fields);
    if (next < known) {
      const uint32_t* from = before_->offsets();
      const uint32_t shift = static_cast<uint32_t>(bytes.size()) - from[next];
      bytes.append(before_->bytes_, from[next], from[known] - from[next]);
      for (; next < known; ++next) offsets[next] = from[next] + shift;
    }
    for (; next < to; ++next) offsets[next] = static_cast<uint32_t>(bytes.size());
  };
  for (size_t f = changed._Find_first(); f < kFieldsMax; f = changed._Find_next(f)) {
    copy_before(static_cast<uint32_t>(f));
    offsets[next++] = static_cast<uint32_t>(bytes.size());
    bytes.append(finals_[f].head).append(finals_[f].body).append(finals_[f].tail);
  }
  copy_before(head.fields);
  offsets[head.fields] = static_cast<uint32_t>(bytes.size());

  std::shared_ptr<Row> row = Row::Make(head, std::move(bytes));
  std::memcpy(row->offsets(), offsets.data(), TailBytes(head.fields));
  if (before_ && before_->change_bytes_ != Row::kChangeBytesUnknown) {
    const size_t all = before_->change_bytes_ + change_bytes;
    row->change_bytes_ = all < row->bytes_.size() ? static_cast<uint32_t>(all) : 0;
  } else {
    row->change_bytes_ = 0;
  }
  return row;
}

}  // namespace everstate
