#include <fmt/format.h>

#include <algorithm>

#include "server/base/base58.h"
#include "server/idl/layout.h"
#include "server/idl/type_table.h"

namespace everstate::idl {

// ProgramCompiler: builds the tables of one IDL.
class ProgramCompiler {
 public:
  explicit ProgramCompiler(const stack::Idl& idl) : idl_(idl), types_(idl), program_(new Program()) {}

  absl::StatusOr<std::shared_ptr<const Program>> Compile() {
    program_->name_ = idl_.name;
    const auto id = DecodeBase58Key32(idl_.program_id);
    if (!id) return types_.Error("program_id", fmt::format("\"{}\" is not the base58 text of 32 bytes", idl_.program_id));
    program_->program_id_ = *id;
    for (const auto step : {&ProgramCompiler::Accounts, &ProgramCompiler::Instructions, &ProgramCompiler::Events}) {
      if (absl::Status status = (this->*step)(); !status.ok()) return status;
    }
    if (absl::Status status = types_.Measure(); !status.ok()) return status;
    if (absl::Status status = Matchers(); !status.ok()) return status;
    program_->types_ = types_.Take();
    return std::shared_ptr<const Program>(std::move(program_));
  }

 private:
  using Form = TypeTable::Form;

  static Form FormOf(stack::Serialization serialization) {
    switch (serialization) {
      case stack::Serialization::kBorsh: return Form::kBorsh;
      case stack::Serialization::kBytemuck: return Form::kBytemuck;
      case stack::Serialization::kBytemuckUnsafe: return Form::kBytemuckUnsafe;
    }
    return Form::kBorsh;
  }

  absl::Status Accounts() {
    for (const stack::IdlAccount& account : idl_.accounts) {
      const std::string item = "accounts." + account.name;
      const stack::IdlTypeDef* def = types_.Find(account.name);
      Form form = FormOf(account.serialization);
      if (def != nullptr && def->serialization != stack::Serialization::kBorsh) form = TypeTable::FormOf(*def);
      // Fields of its own, else the type of its name, else none at all.
      absl::StatusOr<TypeId> body = account.fields.empty() && def != nullptr
                                        ? types_.Defined(account.name, form, item)
                                        : types_.Fields(account.fields, false, form, item);
      if (!body.ok()) return body.status();
      program_->accounts_.push_back({account.name, account.discriminator, *body, std::nullopt});
    }
    return absl::OkStatus();
  }

  // With one-byte discriminants only the first byte is on the wire, whatever the IDL fills in.
  absl::Status Instructions() {
    for (const stack::IdlInstruction& instruction : idl_.instructions) {
      const std::string item = "instructions." + instruction.name;
      absl::StatusOr<TypeId> args = types_.Fields(instruction.args, false, Form::kBorsh, item);
      if (!args.ok()) return args.status();
      std::vector<uint8_t> discriminator = instruction.discriminator;
      if (discriminator.empty()) return types_.Error(item, "has no discriminator");
      if (idl_.discriminant_size == 1) discriminator.resize(1);
      if (idl_.discriminant_size == 1 && instruction.name == "log" && instruction.args.empty()) {
        program_->log_instruction_ = static_cast<int>(program_->instructions_.size());
      }
      program_->instructions_.push_back(
          {PascalCase(instruction.name), std::move(discriminator), *args, instruction.accounts, instruction.name, instruction.optional});
    }
    return absl::OkStatus();
  }

  absl::Status Events() {
    for (const stack::IdlEvent& event : idl_.events) {
      const std::string item = "events." + event.name;
      if (!event.fields && types_.Find(event.name) == nullptr) return types_.Error(item, "there is no type of its name");
      if (event.discriminator.empty()) return types_.Error(item, "has no discriminator");
      absl::StatusOr<TypeId> body =
          event.fields ? types_.Fields(*event.fields, false, Form::kBorsh, item) : types_.Defined(event.name, Form::kBorsh, item);
      if (!body.ok()) return body.status();
      program_->events_.push_back({event.name, event.discriminator, *body});
    }
    return absl::OkStatus();
  }

  absl::Status AddTo(std::vector<Program::Matcher>* matchers, const std::vector<uint8_t>& discriminator, size_t index,
                     const std::string& item) {
    auto it = std::find_if(matchers->begin(), matchers->end(), [&](const auto& m) { return m.length == discriminator.size(); });
    if (it == matchers->end()) {
      matchers->push_back({discriminator.size(), {}});
      it = matchers->end() - 1;
    }
    std::string bytes(discriminator.begin(), discriminator.end());
    if (it->by_bytes.emplace(std::move(bytes), static_cast<int>(index)).second) return absl::OkStatus();
    return types_.Error(item, "has the discriminator of another one");
  }

  absl::Status Matchers() {
    for (size_t i = 0; i < program_->accounts_.size(); ++i) {
      AccountLayout& account = program_->accounts_[i];
      const std::string item = "accounts." + account.name;
      if (account.discriminator.empty()) {
        account.exact_length = types_.at(account.body).fixed_size;
        if (!account.exact_length || *account.exact_length == 0) {
          return types_.Error(item, "has an empty discriminator, and its layout has no fixed length to know it by");
        }
        if (!program_->account_by_length_.emplace(*account.exact_length, static_cast<int>(i)).second) {
          return types_.Error(item, "has an empty discriminator and the length of another account without one");
        }
      } else if (absl::Status status = AddTo(&program_->account_matchers_, account.discriminator, i, item); !status.ok()) {
        return status;
      }
    }
    for (size_t i = 0; i < program_->instructions_.size(); ++i) {
      const InstructionLayout& instruction = program_->instructions_[i];
      absl::Status status = AddTo(&program_->instruction_matchers_, instruction.discriminator, i, "instructions." + idl_.instructions[i].name);
      if (!status.ok()) return status;
    }
    for (size_t i = 0; i < program_->events_.size(); ++i) {
      const EventLayout& event = program_->events_[i];
      if (absl::Status status = AddTo(&program_->event_matchers_, event.discriminator, i, "events." + event.name); !status.ok()) return status;
    }
    for (auto* matchers : {&program_->account_matchers_, &program_->instruction_matchers_, &program_->event_matchers_}) {
      std::sort(matchers->begin(), matchers->end(), [](const auto& a, const auto& b) { return a.length > b.length; });
    }
    return absl::OkStatus();
  }

  const stack::Idl& idl_;
  TypeTable types_;
  std::unique_ptr<Program> program_;
};

absl::StatusOr<std::shared_ptr<const Program>> Program::Compile(const stack::Idl& idl) { return ProgramCompiler(idl).Compile(); }

}  // namespace everstate::idl
