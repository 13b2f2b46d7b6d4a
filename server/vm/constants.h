// Constants of a stack as registers.
#pragma once

#include "server/idl/layout.h"
#include "server/vm/program.h"

namespace everstate::vm {

// What kind of value a register will hold, as far as constants compared with it care: JSON has one spelling for several
// tags.
enum class Hint : uint8_t { kOther, kKey, kDecimal, kBytes };

// ConstantPool: turns literals into constant registers of a program.
class ConstantPool {
 public:
  ConstantPool(Program* program, idl::ShapeTable* shapes) : program_(program), shapes_(shapes) {}

  // The constant in the form that a value of this hint has: base58 text becomes a key, decimal text and integers
  // decimals, an array of bytes becomes bytes. What does not fit stays as it is and then equals nothing of that hint.
  Reg Add(const stack::Literal& literal, Hint hint = Hint::kOther);
  Reg Add(const Value& value);  // of a value that owns nothing

 private:
  void Encode(const stack::Literal& literal, std::string* out);
  const std::string& Keep(std::string text);
  Program* program_;
  idl::ShapeTable* shapes_;
};

}  // namespace everstate::vm
