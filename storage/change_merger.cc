#include "storage/change_merger.h"

#include <rocksdb/env.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/row_change.h"

namespace everstate {
namespace {

class ChangeMerger : public rocksdb::MergeOperator {
 public:
  explicit ChangeMerger(std::shared_ptr<StoreCounters> counters) : counters_(std::move(counters)) {}

  const char* Name() const override { return "everstate.row_change"; }

  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    const auto view = [](const rocksdb::Slice& slice) { return std::string_view(slice.data(), slice.size()); };
    if (in.existing_value == nullptr) {
      return Fail(in, "a row change of a row that is not there");
    }
    std::vector<std::string_view> changes;
    changes.reserve(in.operand_list.size());
    for (const rocksdb::Slice& operand : in.operand_list) changes.push_back(view(operand));
    auto row = FoldRowChanges(view(*in.existing_value), changes);
    if (!row.ok()) {
      return Fail(in, row.status().ToString());
    }
    out->new_value = *std::move(row);
    return true;
  }

 private:
  bool Fail(const MergeOperationInput& in, const std::string& why) const {
    counters_->merge_failures.Add();
    rocksdb::Error(in.logger, "%s", why.c_str());
    return false;
  }

  const std::shared_ptr<StoreCounters> counters_;
};

}  // namespace

std::shared_ptr<rocksdb::MergeOperator> NewChangeMerger(std::shared_ptr<StoreCounters> counters) {
  return std::make_shared<ChangeMerger>(std::move(counters));
}

}  // namespace everstate
