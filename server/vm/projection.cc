#include "server/vm/projection.h"

#include <algorithm>
#include <limits>

#include "server/vm/compiler.h"
#include "server/vm/place.h"
#include "server/vm/program.h"

namespace everstate::vm {

std::string Settings::Canonical() const {
  return Cat("append_keep=", append_keep, ",waiting_bytes_max=", waiting_bytes_max,
             ",waiting_per_address_max=", waiting_per_address_max, ",waiting_slots_max=", waiting_slots_max);
}

struct Projection::Impl {
  std::shared_ptr<const stack::Stack> stack;
  Settings settings;
  std::unique_ptr<Program> program;
  std::vector<std::array<uint8_t, 32>> transaction_programs, account_owners;
};

Projection::Projection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Projection::~Projection() = default;

absl::StatusOr<std::shared_ptr<const Projection>> Projection::Compile(std::shared_ptr<const stack::Stack> stack,
                                                                      const Settings& settings) {
  if (stack->entities.size() > std::numeric_limits<EntityId>::max()) {
    return absl::UnimplementedError(Cat(stack->file, ": entities: more than 65,535 entities are not supported"));
  }
  if (settings.append_keep == 0) return absl::InvalidArgumentError("append_keep: at least 1 element has to be kept");
  if (settings.waiting_per_address_max == 0)
    return absl::InvalidArgumentError("waiting_per_address_max: at least 1 event has to be kept");
  auto program = Compiler(*stack).Compile();
  if (!program.ok()) return program.status();
  auto impl = std::make_unique<Impl>();
  impl->stack = std::move(stack);
  impl->settings = settings;
  impl->program = *std::move(program);
  for (const Program::IdlCode& idl : impl->program->idls) {
    auto used = [](const std::vector<int>& events) {
      return std::any_of(events.begin(), events.end(), [](int e) { return e >= 0; });
    };
    if (used(idl.instruction_events) || idl.wants_events)
      impl->transaction_programs.push_back(idl.layouts->program_id());
    if (used(idl.account_events)) impl->account_owners.push_back(idl.layouts->program_id());
  }
  return std::shared_ptr<const Projection>(new Projection(std::move(impl)));
}

const stack::Stack& Projection::stack() const { return *impl_->stack; }
const Settings& Projection::settings() const { return impl_->settings; }
std::shared_ptr<const RowSchema> Projection::schema() const { return impl_->program->schema; }
const std::vector<std::array<uint8_t, 32>>& Projection::transaction_programs() const {
  return impl_->transaction_programs;
}
const std::vector<std::array<uint8_t, 32>>& Projection::account_owners() const { return impl_->account_owners; }
const Program& Projection::program() const { return *impl_->program; }

}  // namespace everstate::vm
