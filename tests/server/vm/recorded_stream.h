// Recorded blocks, and the entities that a program which knows the stack, but no projection machine, computed from
// them.
#pragma once

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "server/vm/block.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {

// The blocks of a recording; none when it is not there. With `shuffle` what comes between two messages about a slot
// arrives in another order, some of it twice.
std::vector<BlockRef> BlocksOf(const std::string& file, std::mt19937* shuffle = nullptr);

BatchRef Project(Machine* machine, const Block& block, MapView* view);

// {entity: {key: value}} as on the wire.
nlohmann::json EntitiesOf(const RowSchema& schema, const MapView& view);

struct Compared {
  size_t entities = 0, leaves = 0;
  std::vector<std::string> differences;
};
Compared Compare(const nlohmann::json& expected, const nlohmann::json& actual);

}  // namespace everstate::vm
