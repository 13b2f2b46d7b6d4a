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

absl::Status Settings::Check() const {
  if (append_keep == 0) return absl::InvalidArgumentError("append_keep: at least 1 element has to be kept");
  if (waiting_per_address_max == 0)
    return absl::InvalidArgumentError("waiting_per_address_max: at least 1 event has to be kept");
  return absl::OkStatus();
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
  if (absl::Status status = settings.Check(); !status.ok()) return status;
  stack::Diagnostics diagnostics(stack->file);
  auto projection = Compile(std::move(stack), settings, &diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return projection;
}

std::shared_ptr<const Projection> Projection::Compile(std::shared_ptr<const stack::Stack> stack,
                                                      const Settings& settings, stack::Diagnostics* diagnostics) {
  if (stack->entities.size() > std::numeric_limits<EntityId>::max()) {
    (void)Place(diagnostics).At("entities").Unsupported("a stack of more than 65,535 entities");
    return nullptr;
  }
  auto program = Compiler(*stack, diagnostics).Compile();
  if (program == nullptr) return nullptr;
  auto impl = std::make_unique<Impl>();
  impl->stack = std::move(stack);
  impl->settings = settings;
  impl->program = std::move(program);
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
const std::vector<std::string>& Projection::field_types(EntityId entity) const {
  return impl_->program->entities[entity].field_types;
}
const Program& Projection::program() const { return *impl_->program; }

}  // namespace everstate::vm
