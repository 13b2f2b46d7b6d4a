// The loads of one event type: which paths of the event go to which registers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/vm/constants.h"
#include "server/vm/place.h"
#include "server/vm/program.h"

namespace everstate::vm {

// EventCompiler: collects what handlers want of one event and turns it into loads.
//   Errors: findings of the place: a path that the event does not have; unsupported are one into what only the
//           reference's internals have ("__update_context.…"), and one that holds a map.
class EventCompiler {
 public:
  EventCompiler(std::string type, const EventId& id, std::shared_ptr<const idl::Program> layouts,
                ConstantPool* constants, idl::ShapeTable* shapes);

  EventCode& code() { return code_; }
  const EventCode& code() const { return code_; }

  struct Loaded {
    Reg reg = kNoReg;
    Hint hint = Hint::kOther;
    std::string type = {};  // for people
  };
  // A path as the stack writes it. Of an account: into its body, or "__account_address". Of an instruction: "data.…",
  // "accounts.…", or a bare argument name. Of an event: "data.…" or a bare field name. Empty: the whole event.
  absl::StatusOr<Loaded> Load(const stack::Path& path, const Place& place);
  absl::Status Check(const stack::Path& path, const Place& place) const;  // that it could be loaded
  Loaded WithDefault(const Loaded& source, const stack::Literal& value);

  // Compiles the one walk over the body, once all loads are known.
  absl::Status Finish(const Place& place);

 private:
  absl::StatusOr<Loaded> LoadBody(const stack::Path& path, const Place& place);
  absl::StatusOr<Loaded> LoadInstructionAccount(const std::string& name, const Place& place);
  absl::StatusOr<Loaded> LoadAllAccounts(const Place& place);
  absl::StatusOr<Loaded> LoadWhole(const Place& place);
  Reg NewRegister() { return static_cast<Reg>(code_.registers_end++); }  // beyond kNoReg the stack is refused

  EventCode code_;
  std::shared_ptr<const idl::Program> layouts_;
  idl::TypeId body_ = 0;
  const std::vector<std::string>* account_names_ = nullptr;  // of an instruction, else null
  ConstantPool* constants_;
  idl::ShapeTable* shapes_;
  std::map<stack::Path, Loaded> body_loads_;  // by path in the layout's own names
  std::map<std::string, Loaded> account_loads_;
  std::map<std::string, Loaded> object_loads_;  // "accounts", "" (the whole event)
};

}  // namespace everstate::vm
