// StateView: everything a projection remembers, read-only. The machine declares what it needs; the projector implements
// it over its cache and the store.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate::vm {

// StateView
//   Thread:  the projector's.
//   Errors:  those of the store. A machine that meets one stops the block: no layer comes out.
class StateView {
 public:
  virtual ~StateView() = default;
  virtual absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key) = 0;  // null when there is none
  virtual absl::StatusOr<std::optional<std::string>> GetSide(const SideKey& key) = 0;
};

}  // namespace everstate::vm
