#include "storage/row_merge.h"

#include <string_view>
#include <vector>

#include "storage/row.h"
#include "storage/value_codec.h"

namespace everstate {
namespace {

// The object's keys in ascending order, each with its value; ends early where the bytes are none of a row.
class Members {
 public:
  // False when `object` is none of the schema.
  bool Open(const RowSchema& schema, const Value& object) {
    Composite frame;
    if (object.tag != ValueTag::kObject || !OpenFrame(object, &frame)) return false;
    if (frame.count_or_shape >= schema.shapes().size()) return false;
    keys_ = &schema.shapes()[frame.count_or_shape].keys;
    at_ = frame.payload.data();
    end_ = at_ + frame.payload.size();
    return true;
  }
  // The next member that is there; false at the end.
  bool Next() {
    while (index_ < keys_->size() && at_ != end_ && (at_ = DecodeValue(at_, end_, &value)) != nullptr) {
      key = (*keys_)[index_++];
      if (!value.absent()) return true;
    }
    at_ = end_;
    return false;
  }

  std::string_view key;
  Value value;

 private:
  const std::vector<std::string>* keys_ = nullptr;
  size_t index_ = 0;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
};

bool LosesKeys(const RowSchema& schema, const Value& before, const Value& after) {
  Members old, now;
  if (!old.Open(schema, before) || !now.Open(schema, after)) return false;
  bool more = now.Next();
  while (old.Next()) {
    while (more && now.key < old.key) more = now.Next();
    if (!more || now.key != old.key || LosesKeys(schema, old.value, now.value)) return true;
  }
  return false;
}

}  // namespace

bool TakesKeysAway(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation) {
  if (mutation.before == nullptr || mutation.after == nullptr) return false;
  const FieldSet changed = mutation.changed & entity.emitted & mutation.before->present();
  if ((changed & ~mutation.after->present()).any()) return true;
  for (size_t f = changed._Find_first(); f < kFieldsMax; f = changed._Find_next(f)) {
    const FieldId field = static_cast<FieldId>(f);
    const auto object = [field](const Row& row) {
      return static_cast<ValueTag>(row.Encoded(field)[0]) == ValueTag::kObject;
    };
    if (!object(*mutation.before) || !object(*mutation.after)) continue;
    if (LosesKeys(schema, mutation.before->Get(field), mutation.after->Get(field))) return true;
  }
  return false;
}

}  // namespace everstate
