// How RocksDB folds row changes into rows. No door: nobody outside storage/ includes it.
#pragma once

#include <rocksdb/merge_operator.h>

#include <memory>

namespace everstate {

// For Options::merge_operator. A change that does not fit its row is Corruption, with the reason in RocksDB's log.
std::shared_ptr<rocksdb::MergeOperator> NewChangeMerger();

}  // namespace everstate
