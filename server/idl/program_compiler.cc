#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/base/base58.h"
#include "server/idl/layout.h"
#include "server/idl/type_table.h"

namespace everstate::idl {

// ProgramCompiler: builds the tables of one IDL.
class ProgramCompiler {
 public:
  ProgramCompiler(const stack::Idl& idl, const stack::Place& place)
      : idl_(idl), place_(place), types_(idl, place), program_(new Program()) {}

  std::shared_ptr<const Program> Compile() {
    program_->name_ = idl_.name;
    if (const auto id = DecodeBase58Key32(idl_.program_id))
      program_->program_id_ = *id;
    else if (!place_.At("address").Faulty())
      (void)types_.Error("program_id", fmt::format("\"{}\" is not the base58 text of 32 bytes", idl_.program_id));
    Accounts();
    Instructions();
    Events();
    types_.Measure();
    LeaveOutUnsound();
    Matchers();
    program_->types_ = types_.Take();
    return std::shared_ptr<const Program>(std::move(program_));
  }

 private:
  using Form = TypeTable::Form;

  static Form FormOf(stack::Serialization serialization) {
    switch (serialization) {
      case stack::Serialization::kBorsh:
        return Form::kBorsh;
      case stack::Serialization::kBytemuck:
        return Form::kBytemuck;
      case stack::Serialization::kBytemuckUnsafe:
        return Form::kBytemuckUnsafe;
    }
    return Form::kBorsh;
  }

  void Accounts() {
    std::set<std::string> names;
    for (size_t i = 0; i < idl_.accounts.size(); ++i) {
      const stack::IdlAccount& account = idl_.accounts[i];
      AccountLayout& layout = program_->accounts_.emplace_back();
      layout.name = account.name;
      layout.discriminator = account.discriminator;
      layout.faulty = Unread("accounts", i);
      if (layout.faulty) continue;
      const std::string item = "accounts." + account.name;
      layout.faulty = !IsNew(&names, account.name, item);
      const stack::IdlTypeDef* def = types_.Find(account.name);
      if (account.fields.empty() && def == nullptr && types_.NameUnread()) layout.faulty = true;
      if (layout.faulty) continue;
      Form form = FormOf(account.serialization);
      if (def != nullptr && def->serialization != stack::Serialization::kBorsh) form = TypeTable::FormOf(*def);
      // Fields of its own, else the type of its name, else none at all.
      absl::StatusOr<TypeId> body = account.fields.empty() && def != nullptr
                                        ? types_.Defined(account.name, form, item)
                                        : types_.Fields(account.fields, false, form, item);
      SetBody(body, &layout.body, &layout.faulty);
    }
  }

  // A stack asks for an item by its name: of two with one name it could never have the second.
  bool IsNew(std::set<std::string>* names, const std::string& name, const std::string& item) {
    return names->insert(name).second || types_.Error(item, "has the name of another one").ok();
  }

  bool Unread(std::string_view list, size_t index) const { return place_.At(list, index).Faulty(); }

  static void SetBody(const absl::StatusOr<TypeId>& compiled, TypeId* body, bool* faulty) {
    if (compiled.ok())
      *body = *compiled;
    else
      *faulty = true;
  }

  // With one-byte discriminants only the first byte is on the wire, whatever the IDL fills in.
  void Instructions() {
    std::set<std::string> names;
    for (size_t i = 0; i < idl_.instructions.size(); ++i) {
      const stack::IdlInstruction& instruction = idl_.instructions[i];
      const std::string item = "instructions." + instruction.name;
      InstructionLayout& layout = program_->instructions_.emplace_back();
      layout.name = PascalCase(instruction.name);
      layout.written = instruction.name;
      layout.discriminator = instruction.discriminator;
      layout.accounts = instruction.accounts;
      layout.optional = instruction.optional;
      layout.faulty = Unread("instructions", i);
      if (layout.faulty) continue;
      layout.faulty = !IsNew(&names, layout.name, item);
      std::set<std::string> accounts;
      for (const std::string& account : layout.accounts) {
        if (!accounts.insert(account).second)
          layout.faulty |= !types_.Error(item, fmt::format("has two accounts called {}", account)).ok();
      }
      SetBody(types_.Fields(instruction.args, false, Form::kBorsh, item), &layout.args, &layout.faulty);
      if (layout.discriminator.empty()) layout.faulty |= !types_.Error(item, "has no discriminator").ok();
      if (idl_.discriminant_size == 1) layout.discriminator.resize(1);
      if (idl_.discriminant_size == 1 && instruction.name == "log" && instruction.args.empty()) {
        program_->log_instruction_ = static_cast<int>(i);
      }
    }
  }

  void Events() {
    std::set<std::string> names;
    for (size_t i = 0; i < idl_.events.size(); ++i) {
      const stack::IdlEvent& event = idl_.events[i];
      const std::string item = "events." + event.name;
      EventLayout& layout = program_->events_.emplace_back();
      layout.name = event.name;
      layout.discriminator = event.discriminator;
      layout.faulty = Unread("events", i);
      if (layout.faulty) continue;
      layout.faulty = !IsNew(&names, event.name, item);
      if (layout.discriminator.empty()) layout.faulty |= !types_.Error(item, "has no discriminator").ok();
      if (!event.fields && types_.Find(event.name) == nullptr) {
        layout.faulty = true;
        if (!types_.NameUnread()) (void)types_.Error(item, "there is no type of its name");
        continue;
      }
      SetBody(event.fields ? types_.Fields(*event.fields, false, Form::kBorsh, item)
                           : types_.Defined(event.name, Form::kBorsh, item),
              &layout.body, &layout.faulty);
    }
  }

  void AddTo(std::vector<Program::Matcher>* matchers, const std::vector<uint8_t>& discriminator, size_t index,
             const std::string& item) {
    auto it = std::find_if(matchers->begin(), matchers->end(),
                           [&](const auto& m) { return m.length == discriminator.size(); });
    if (it == matchers->end()) {
      matchers->push_back({discriminator.size(), {}});
      it = matchers->end() - 1;
    }
    std::string bytes(discriminator.begin(), discriminator.end());
    if (it->by_bytes.emplace(std::move(bytes), static_cast<int>(index)).second) return;
    (void)types_.Error(item, "has the discriminator of another one");
  }

  void LeaveOutUnsound() {
    for (AccountLayout& layout : program_->accounts_) layout.faulty = layout.faulty || !types_.Sound(layout.body);
    for (InstructionLayout& layout : program_->instructions_)
      layout.faulty = layout.faulty || !types_.Sound(layout.args);
    for (EventLayout& layout : program_->events_) layout.faulty = layout.faulty || !types_.Sound(layout.body);
  }

  void Matchers() {
    for (size_t i = 0; i < program_->accounts_.size(); ++i) {
      AccountLayout& account = program_->accounts_[i];
      const std::string item = "accounts." + account.name;
      if (account.faulty) continue;
      if (!account.discriminator.empty()) {
        AddTo(&program_->account_matchers_, account.discriminator, i, item);
        continue;
      }
      account.exact_length = types_.at(account.body).fixed_size;
      if (!account.exact_length || *account.exact_length == 0) {
        (void)types_.Error(item, "has an empty discriminator, and its layout has no fixed length to know it by");
      } else if (!program_->account_by_length_.emplace(*account.exact_length, static_cast<int>(i)).second) {
        (void)types_.Error(item, "has an empty discriminator and the length of another account without one");
      }
    }
    for (size_t i = 0; i < program_->instructions_.size(); ++i) {
      const InstructionLayout& instruction = program_->instructions_[i];
      if (!instruction.faulty)
        AddTo(&program_->instruction_matchers_, instruction.discriminator, i, "instructions." + instruction.written);
    }
    for (size_t i = 0; i < program_->events_.size(); ++i) {
      const EventLayout& event = program_->events_[i];
      if (!event.faulty) AddTo(&program_->event_matchers_, event.discriminator, i, "events." + event.name);
    }
    for (auto* matchers :
         {&program_->account_matchers_, &program_->instruction_matchers_, &program_->event_matchers_}) {
      std::sort(matchers->begin(), matchers->end(), [](const auto& a, const auto& b) { return a.length > b.length; });
    }
  }

  const stack::Idl& idl_;
  const stack::Place place_;
  TypeTable types_;
  std::unique_ptr<Program> program_;
};

std::shared_ptr<const Program> Program::Compile(const stack::Idl& idl, const stack::Place& place) {
  return ProgramCompiler(idl, place).Compile();
}

absl::StatusOr<std::shared_ptr<const Program>> Program::Compile(const stack::Idl& idl) {
  stack::Diagnostics diagnostics("IDL " + idl.name);
  std::shared_ptr<const Program> program = Compile(idl, stack::Place(&diagnostics));
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return program;
}

}  // namespace everstate::idl
