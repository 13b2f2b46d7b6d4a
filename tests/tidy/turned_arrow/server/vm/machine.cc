// Each of these includes turns an arrow; layering_test.py expects all of them to be found.
#include <rocksdb/db.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/fanout/fanout.h"
#include "storage/entity_store.h"
