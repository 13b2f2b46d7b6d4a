// Row: one value of an entity under its schema. Typed, compact, immutable, reference-counted; a change makes a new row.
//
// Bytes of a row (what the store holds): varint slot, varint index (the cursor of the mutation that made it), varint
// number of bitmap bytes, the bitmap of present fields (bit f of byte f/8; no trailing zero bytes), then the encoded
// values of the present fields in the order of their ids.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/model.h"
#include "storage/row_schema.h"
#include "storage/value.h"

namespace everstate {

struct RowHead;

// Row
//   Thread:    immutable, any thread.
//   Owns:      its bytes; a Value from Get points into them and lives as long as the row.
class Row {
  struct Private {};  // rows are made by Parse and RowEditor only, together with the room for their offsets

 public:
  Row(Private, Cursor cursor, FieldSet present, std::string bytes)
      : cursor_(cursor), present_(present), bytes_(std::move(bytes)) {}
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  // Errors: DataLoss naming the field when the bytes are not a row of at most `field_count` fields.
  static absl::StatusOr<RowRef> Parse(std::string bytes, size_t field_count);

  const Cursor& cursor() const { return cursor_; }
  const FieldSet& present() const { return present_; }
  Value Get(FieldId field) const;                 // kAbsent when not present
  std::string_view Encoded(FieldId field) const;  // the value's encoding; empty when not present
  const std::string& bytes() const { return bytes_; }
  size_t MemoryBytes() const;  // for caches
  // True when the store may hold this row as the change of the one before (row_change.h): the editor made it, and all
  // changes since the row was last written whole are shorter than the row. A row that was parsed is written whole.
  bool stored_as_change() const { return change_bytes_ != 0 && change_bytes_ != kChangeBytesUnknown; }

 private:
  friend class RowEditor;
  // A row and its offsets are one allocation, its bytes the other.
  static std::shared_ptr<Row> Make(const RowHead& head, std::string bytes);
  uint32_t* offsets() { return reinterpret_cast<uint32_t*>(this + 1); }
  const uint32_t* offsets() const { return reinterpret_cast<const uint32_t*>(this + 1); }

  static constexpr uint32_t kChangeBytesUnknown = 0xffffffff;

  Cursor cursor_;
  FieldSet present_;
  std::string bytes_;
  uint32_t change_bytes_ = kChangeBytesUnknown;  // of the changes since the row was written whole; 0: this one is
  // Highest present field + 1. offsets()[0..fields_]: start of each field's value in bytes_, then the end; an absent
  // field is empty
  uint32_t fields_ = 0;
};

// RowEditor: the working copy of one entity inside one block.
//   Thread:    one; meant to be reused (Reset) so that its buffers are kept.
//   Owns:      copies of everything that is Set: a Value from Get lives until the next Set or Append of that field.
//   Invariant: Build gives a row equal to applying the calls in order. A field Set to the value it had at Reset is not
//              changed.
class RowEditor {
 public:
  void Reset(RowRef before, size_t field_count);
  const RowRef& before() const { return before_; }
  Value Get(FieldId field) const;
  // False (nothing done) for kAbsent and for a value deeper than kValueDepthMax.
  bool Set(FieldId field, const Value& value);
  // Appends to an array field; absent or null counts as empty. False (nothing done) when the field holds something
  // else, or when the array would be deeper than kValueDepthMax.
  [[nodiscard]] bool Append(FieldId field, const Value& element);

  struct Built {
    RowRef after;  // null when nothing changed
    FieldSet changed;
    std::vector<Appended> appended;
  };
  // Makes the next row. Arrays that reached 2 * append_keep through Append are cut to their newest append_keep and then
  // count as replaced, not appended. When nothing changed there is no row. Calling it changes nothing in the editor.
  Built Build(Cursor cursor, uint32_t append_keep);
  FieldSet Changed() const;  // what Build reports as changed when it cuts no array

 private:
  struct Field {
    std::string encoded;   // empty: as in `before`
    std::string appended;  // encoded elements added at the end
    uint32_t appended_count = 0;
    mutable std::string whole;  // the value with what was appended, once somebody asked for it; else empty
    std::string head;           // Build: the frame of an array that was appended to
    void Clear();
  };
  // A field's encoding in the next row, in pieces.
  struct Final {
    std::string_view head, body, tail;
    bool appended = false;  // `tail` is what was added to the array of the row before
    size_t size() const { return head.size() + body.size() + tail.size(); }
    bool Equals(std::string_view encoded) const {
      return encoded.size() == size() && encoded.starts_with(head) && encoded.ends_with(tail) &&
             encoded.substr(head.size(), body.size()) == body;
    }
  };
  std::string_view Base(FieldId field) const;     // the field's encoding without what was appended; empty when absent
  std::string_view Current(FieldId field) const;  // with it
  std::string_view BeforeOf(FieldId field) const { return before_ ? before_->Encoded(field) : std::string_view(); }
  Final FinalOf(FieldId field, uint32_t append_keep);  // cut when needed
  RowRef MakeRow(Cursor cursor, const FieldSet& changed, size_t change_bytes) const;

  RowRef before_;
  std::vector<Field> fields_;  // grows only, so that buffers are kept
  FieldSet touched_;           // fields that were Set or Appended to; those that Build may find changed
  std::string scratch_;
  std::vector<Final> finals_;  // Build: of each changed field
};

// JSON text, appended to *out. Strings are escaped as RFC 8259 §7 asks; integers beyond ±(2^53-1) become decimal text;
// floats are written so that they read back as the same float and always have '.', 'e' or 'E'.
void AppendJsonString(std::string_view text, std::string* out);
void AppendValueJson(const RowSchema& schema, const Value& value, std::string* out);
// The whole entity, emitted fields only, with "_seq": what a snapshot row or an upsert has as "data".
void AppendEntityJson(const RowSchema& schema, const EntitySchema& entity, const Row& row, std::string* out);
// The emitted fields that changed; of appended arrays only the new elements; with "_seq": "data" of a patch.
void AppendPatchJson(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation, std::string* out);
// True when a subscriber has to hear of it: it is new and has an emitted field, an emitted field changed, or it was
// deleted.
bool EmitsAnything(const EntitySchema& entity, const Mutation& mutation);

}  // namespace everstate
