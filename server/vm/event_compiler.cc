#include "server/vm/event_compiler.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace everstate::vm {
namespace {

struct Resolved {
  stack::Path path;  // in the layout's own names
  idl::TypeId type = 0;
};

// Follows a path through structs and tuples, by the rules of idl::Plan. Empty when there is no such field.
std::optional<Resolved> Resolve(const idl::Program& program, idl::TypeId type, const stack::Path& path) {
  Resolved resolved;
  for (const std::string& segment : path) {
    const idl::Type& at = program.types()[type];
    if (at.kind == idl::Kind::kStruct) {
      const std::string snake = idl::SnakeCase(segment);
      auto field = std::find_if(at.fields.begin(), at.fields.end(),
                                [&](const auto& f) { return !f.name.empty() && f.name == segment; });
      if (field == at.fields.end()) {
        field = std::find_if(at.fields.begin(), at.fields.end(),
                             [&](const auto& f) { return !f.name.empty() && f.name == snake; });
      }
      if (field == at.fields.end()) return std::nullopt;
      resolved.path.push_back(field->name);
      type = field->type;
    } else if (at.kind == idl::Kind::kTuple) {
      size_t position = 0;
      auto [end, error] = std::from_chars(segment.data(), segment.data() + segment.size(), position);
      if (error != std::errc() || end != segment.data() + segment.size()) return std::nullopt;
      // Positions count what the IDL names; alignment between the fields is none of it.
      auto field = at.fields.begin();
      for (; field != at.fields.end(); ++field) {
        if (program.types()[field->type].kind != idl::Kind::kPad && position-- == 0) break;
      }
      if (field == at.fields.end()) return std::nullopt;
      resolved.path.push_back(segment);
      type = field->type;
    } else {
      return std::nullopt;
    }
  }
  resolved.type = type;
  return resolved;
}

Hint HintOf(const idl::Program& program, idl::TypeId type) {
  const auto kind = [&] { return program.types()[type].kind; };
  while (kind() == idl::Kind::kOption || kind() == idl::Kind::kFixedOption) type = program.types()[type].element;
  switch (kind()) {
    case idl::Kind::kPubkey:
      return Hint::kKey;
    case idl::Kind::kU128:
    case idl::Kind::kI128:
      return Hint::kDecimal;
    case idl::Kind::kBytes:
    case idl::Kind::kBlob:
    case idl::Kind::kByteArray:
      return Hint::kBytes;
    default:
      return Hint::kOther;
  }
}

}  // namespace

EventCompiler::EventCompiler(std::string type, const EventId& id, std::shared_ptr<const idl::Program> layouts,
                             ConstantPool* constants, idl::ShapeTable* shapes)
    : layouts_(std::move(layouts)), constants_(constants), shapes_(shapes) {
  code_.type = std::move(type);
  code_.id = id;
  switch (id.kind) {
    case EventKind::kAccount:
      body_ = layouts_->accounts()[id.layout].body;
      break;
    case EventKind::kInstruction:
      body_ = layouts_->instructions()[id.layout].args;
      account_names_ = &layouts_->instructions()[id.layout].accounts;
      break;
    case EventKind::kEvent:
      body_ = layouts_->events()[id.layout].body;
      break;
  }
}

absl::Status EventCompiler::Check(const stack::Path& path, const Place& place) const {
  EventCompiler aside = *this;
  return aside.Load(path, place).status();
}

absl::StatusOr<EventCompiler::Loaded> EventCompiler::Load(const stack::Path& path, const Place& place) {
  if (!path.empty() && path[0].starts_with("__")) {
    if (code_.id.kind == EventKind::kAccount && path.size() == 1 && path[0] == "__account_address")
      return Loaded{kRegAddress, Hint::kKey, "pubkey"};
    return place.Unsupported(Cat("the path \"", stack::PathText(path), "\""));
  }
  if (code_.id.kind == EventKind::kAccount) return LoadBody(path, place);
  if (path.empty()) return LoadWhole(place);
  if (account_names_ != nullptr && path[0] == "accounts") {
    if (path.size() == 1) return LoadAllAccounts(place);
    if (path.size() == 2) return LoadInstructionAccount(path[1], place);
    return place.Invalid(Cat("\"", stack::PathText(path), "\" goes into an address"));
  }
  // A path that names neither half means the arguments or fields: the DSL's authors write it so.
  return LoadBody(path[0] == "data" ? stack::Path(path.begin() + 1, path.end()) : path, place);
}

absl::StatusOr<EventCompiler::Loaded> EventCompiler::LoadBody(const stack::Path& path, const Place& place) {
  auto resolved = Resolve(*layouts_, body_, path);
  if (!resolved) return place.Invalid(Cat(code_.type, " has no field \"", stack::PathText(path), "\""));
  if (const auto known = body_loads_.find(resolved->path); known != body_loads_.end()) return known->second;
  // That it can be read is found out here, where the stack asks for it.
  idl::ShapeTable aside;
  const auto readable = idl::Plan::Compile(layouts_, body_, {{resolved->path, kRegFirst}}, &aside);
  if (!readable.ok()) return place.Unsupported(Message(readable.status()));
  return body_loads_[resolved->path] = {NewRegister(), HintOf(*layouts_, resolved->type),
                                        idl::TypeName(layouts_->types(), resolved->type)};
}

absl::StatusOr<EventCompiler::Loaded> EventCompiler::LoadInstructionAccount(const std::string& name,
                                                                            const Place& place) {
  auto same = [&](const std::string& a) { return a == name; };
  auto same_snake = [&](const std::string& a) { return idl::SnakeCase(a) == idl::SnakeCase(name); };
  auto found = std::find_if(account_names_->begin(), account_names_->end(), same);
  if (found == account_names_->end()) found = std::find_if(account_names_->begin(), account_names_->end(), same_snake);
  if (found == account_names_->end()) return place.Invalid(Cat(code_.type, " has no account \"", name, "\""));
  auto [it, added] = account_loads_.try_emplace(*found);
  if (added) {
    it->second = {NewRegister(), Hint::kKey, "pubkey"};
    code_.accounts.push_back({static_cast<uint16_t>(found - account_names_->begin()), it->second.reg});
  }
  return it->second;
}

absl::StatusOr<EventCompiler::Loaded> EventCompiler::LoadAllAccounts(const Place& place) {
  auto [it, added] = object_loads_.try_emplace("accounts");
  if (!added) return it->second;
  std::map<std::string, Reg> members;  // in the order of the shape's keys
  for (const std::string& name : *account_names_) {
    auto loaded = LoadInstructionAccount(name, place);
    if (!loaded.ok()) return loaded;
    members[name] = loaded->reg;
  }
  EventCode::ObjectLoad load;
  std::vector<std::string> keys;
  for (const auto& [name, reg] : members) {
    keys.push_back(name);
    load.members.push_back(reg);
  }
  load.shape = shapes_->Intern(std::move(keys));
  load.reg = NewRegister();
  code_.objects.push_back(load);
  return it->second = {load.reg, Hint::kOther, "object"};
}

absl::StatusOr<EventCompiler::Loaded> EventCompiler::LoadWhole(const Place& place) {
  std::vector<std::string> keys = {"data"};
  std::vector<Reg> members;
  if (account_names_ != nullptr) {
    auto accounts = LoadAllAccounts(place);
    if (!accounts.ok()) return accounts;
    keys.insert(keys.begin(), "accounts");
    members.push_back(accounts->reg);
  }
  auto data = LoadBody({}, place);
  if (!data.ok()) return data;
  members.push_back(data->reg);
  auto [it, added] = object_loads_.try_emplace("");
  if (!added) return it->second;
  it->second = {NewRegister(), Hint::kOther, "object"};
  code_.objects.push_back({shapes_->Intern(std::move(keys)), std::move(members), it->second.reg});
  return it->second;
}

EventCompiler::Loaded EventCompiler::WithDefault(const Loaded& source, const stack::Literal& value) {
  Loaded loaded{NewRegister(), source.hint, source.type};
  code_.defaults.push_back({source.reg, constants_->Add(value, source.hint), loaded.reg});
  return loaded;
}

absl::Status EventCompiler::Finish(const Place& place) {
  if (body_loads_.empty()) return absl::OkStatus();
  std::vector<idl::Plan::Wanted> wanted;
  wanted.reserve(body_loads_.size());
  for (const auto& [path, loaded] : body_loads_) wanted.push_back({path, loaded.reg});
  auto plan = idl::Plan::Compile(layouts_, body_, wanted, shapes_);
  if (!plan.ok()) return place.Invalid(Cat(code_.type, ": ", Message(plan.status())));
  code_.plan = *std::move(plan);
  return absl::OkStatus();
}

}  // namespace everstate::vm
