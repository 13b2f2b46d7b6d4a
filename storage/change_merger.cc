#include "storage/change_merger.h"

#include <rocksdb/env.h>

#include <string_view>
#include <utility>
#include <vector>

#include "storage/row_change.h"

namespace everstate {
namespace {

class ChangeMerger : public rocksdb::MergeOperator {
 public:
  const char* Name() const override { return "everstate.row_change"; }

  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    const auto view = [](const rocksdb::Slice& slice) { return std::string_view(slice.data(), slice.size()); };
    if (in.existing_value == nullptr) {
      rocksdb::Error(in.logger, "a row change of a row that is not there");
      return false;
    }
    std::vector<std::string_view> changes;
    changes.reserve(in.operand_list.size());
    for (const rocksdb::Slice& operand : in.operand_list) changes.push_back(view(operand));
    auto row = FoldRowChanges(view(*in.existing_value), changes);
    if (!row.ok()) {
      rocksdb::Error(in.logger, "%s", row.status().ToString().c_str());
      return false;
    }
    out->new_value = *std::move(row);
    return true;
  }
};

}  // namespace

std::shared_ptr<rocksdb::MergeOperator> NewChangeMerger() { return std::make_shared<ChangeMerger>(); }

}  // namespace everstate
