// For tests: IDLs in few words, and values as JSON.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/idl/extract.h"
#include "storage/row.h"

namespace everstate::idl {

using Json = nlohmann::json;
using TypeKind = stack::IdlType::Kind;

inline stack::IdlType Plain(TypeKind kind) {
  stack::IdlType type;
  type.kind = kind;
  return type;
}
inline stack::IdlType Of(TypeKind kind, std::vector<stack::IdlType> args, uint64_t count = 0) {
  stack::IdlType type;
  type.kind = kind;
  type.args = std::move(args);
  type.count = count;
  return type;
}
inline stack::IdlType Named(std::string name) {
  stack::IdlType type;
  type.kind = TypeKind::kDefined;
  type.name = std::move(name);
  return type;
}

inline stack::Idl EmptyIdl() {
  stack::Idl idl;
  idl.name = "test";
  idl.program_id = std::string(32, '1');
  return idl;
}

// A program of one account "Body" with the discriminator 01 and the given fields.
inline stack::Idl BodyIdl(std::vector<stack::IdlField> fields, std::vector<stack::IdlTypeDef> types = {}) {
  stack::Idl idl = EmptyIdl();
  stack::IdlAccount account;
  account.name = "Body";
  account.discriminator = {1};
  account.fields = std::move(fields);
  idl.accounts.push_back(std::move(account));
  idl.types = std::move(types);
  return idl;
}

inline stack::IdlTypeDef StructDef(std::string name, std::vector<stack::IdlField> fields) {
  stack::IdlTypeDef def;
  def.name = std::move(name);
  def.fields = std::move(fields);
  return def;
}

inline std::shared_ptr<const Program> Compile(const stack::Idl& idl) {
  auto program = Program::Compile(idl);
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *program : nullptr;
}

inline std::span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

inline Json ToJson(const Value& value, const ShapeTable& shapes) {
  auto schema = RowSchema::Build({}, shapes.shapes(), {});
  EXPECT_TRUE(schema.ok()) << schema.status();
  std::string text;
  AppendValueJson(**schema, value, &text);
  return Json::parse(text);
}

// The value at one path, or the decode error's name.
inline Json ReadPath(const std::shared_ptr<const Program>& program, TypeId body, std::vector<std::string> path,
                     const std::string& bytes, bool pad = false) {
  ShapeTable shapes;
  auto plan = Plan::Compile(program, body, {{std::move(path), 0}}, &shapes);
  EXPECT_TRUE(plan.ok()) << plan.status();
  if (!plan.ok()) return std::string(plan.status().message());
  Arena arena;
  Value value;
  const DecodeResult result = plan->Run(Span(bytes), pad, &arena, &value);
  if (result.error != DecodeError::kNone) return std::string(Name(result.error));
  return ToJson(value, shapes);
}

}  // namespace everstate::idl
