// How RocksDB folds row changes into rows. No door: nobody outside storage/ includes it.
#pragma once

#include <rocksdb/merge_operator.h>

#include <memory>

#include "storage/entity_store.h"

namespace everstate {

// For Options::merge_operator. A change that does not fit its row is Corruption for whoever reads, flushes or compacts
// it; RocksDB does not pass the reason on, so it is logged here, and counted.
std::shared_ptr<rocksdb::MergeOperator> NewChangeMerger(std::shared_ptr<StoreCounters> counters);

}  // namespace everstate
