// Projection: a stack compiled into what the machine runs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/stack/stack.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate::vm {

// Settings that change what a projection computes. They are part of the store's identity.
struct Settings {
  uint32_t append_keep = 100;  // arrays keep at least this many newest elements; at least 1
  // How long and how much may wait for a key that is not known yet. The reference keeps 50 an address for 300 seconds.
  uint64_t waiting_slots_max = 750;
  uint32_t waiting_per_address_max = 50;  // events; at least 1
  uint64_t waiting_bytes_max = 16 << 20;  // of all of them
  absl::Status Check() const;             // InvalidArgument naming a setting that keeps nothing
  std::string Canonical() const;          // one text, equal for equal settings
};

struct Program;  // the compiled handlers; only vm/ knows it

// Projection
//   Thread:  immutable, any thread.
class Projection {
 public:
  // Everything that contradicts itself or cannot be done becomes a finding of the file that `diagnostics` is about
  // ("SplStream.stack.json: entities[0].handlers[2].key_resolution: TemporalLookup is not supported"), also of a stack
  // that was read with findings, whose faulty parts are left out. Null when there are any. What it accepts it does.
  // Derived views are the one exception: they become ViewDefs with `unsupported` set. `settings` were checked.
  static std::shared_ptr<const Projection> Compile(std::shared_ptr<const stack::Stack> stack, const Settings& settings,
                                                   stack::Diagnostics* diagnostics);
  // The same for whoever wants a projection or the reasons. Errors: InvalidArgument / Unimplemented, a line for each
  // finding.
  static absl::StatusOr<std::shared_ptr<const Projection>> Compile(std::shared_ptr<const stack::Stack> stack,
                                                                   const Settings& settings);
  ~Projection();

  const stack::Stack& stack() const;
  const Settings& settings() const;
  std::shared_ptr<const RowSchema> schema() const;

  // What the stream has to carry: programs whose transactions matter, and owners whose accounts matter (32 bytes each).
  const std::vector<std::array<uint8_t, 32>>& transaction_programs() const;
  const std::vector<std::array<uint8_t, 32>>& account_owners() const;

  // What lies in an entity's fields, by FieldId, for people: "u64", "vec<event>", "i64 | integer".
  const std::vector<std::string>& field_types(EntityId entity) const;

  // The compiled handlers, for the machine.
  const Program& program() const;

 private:
  struct Impl;
  explicit Projection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::vm
