#include "storage/change_merger.h"

#include <bit>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "server/base/log.h"
#include "storage/keys.h"
#include "storage/row_change.h"

namespace everstate {
namespace {

class ChangeMerger : public rocksdb::MergeOperator {
 public:
  explicit ChangeMerger(std::shared_ptr<StoreCounters> counters) : counters_(std::move(counters)) {}
  const char* Name() const override { return "everstate.row_change"; }

  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    auto row = Fold(in);
    if (!row.ok()) {
      Tell(View(in.key), row.status());
      return false;
    }
    out->new_value = *std::move(row);
    return true;
  }

 private:
  static std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

  static absl::StatusOr<std::string> Fold(const MergeOperationInput& in) {
    if (in.existing_value == nullptr) return absl::DataLossError("row change: the row is not there");
    std::vector<std::string_view> changes;
    changes.reserve(in.operand_list.size());
    for (const rocksdb::Slice& operand : in.operand_list) changes.push_back(View(operand));
    return FoldRowChanges(View(*in.existing_value), changes);
  }

  // A row that is read again and again fails each time: the first one is logged, then the second, the fourth, …
  void Tell(std::string_view key, const absl::Status& why) const {
    counters_->merge_failures.Add();
    const uint64_t count = counters_->merge_failures.value();
    if (!std::has_single_bit(count)) return;
    const auto entity = ParseEntityKey(key);
    LogError(Room::kStorage, "row of entity {}, key `{}`: {}; {} such failures so far", entity ? entity->entity : 0,
             absl::CHexEscape(std::string(entity ? entity->key : key)), std::string(why.message()), count);
  }

  const std::shared_ptr<StoreCounters> counters_;
};

}  // namespace

std::shared_ptr<rocksdb::MergeOperator> NewChangeMerger(std::shared_ptr<StoreCounters> counters) {
  return std::make_shared<ChangeMerger>(std::move(counters));
}

}  // namespace everstate
