// Random types with random values: an encoder that shares nothing with the room writes bytes and the JSON they mean.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "server/base/base58.h"
#include "server/stack/stack.h"
#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

using stack::IdlField;
using stack::IdlType;
using Random = std::mt19937_64;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  stack::Idl Idl() {
    for (int i = 0; i < 4; ++i) {
      stack::IdlTypeDef def;
      def.name = "T" + std::to_string(i);
      const uint64_t form = random_() % 3;
      def.is_tuple = form == 1;
      if (form == 2) {
        def.is_enum = true;
        for (uint64_t v = 0; v <= random_() % 4; ++v)
          def.variants.push_back({"Variant" + std::to_string(v), Fields(random_() % 3, random_() % 2 == 0)});
      } else {
        def.fields = Fields(1 + random_() % 5, def.is_tuple);
      }
      types_.push_back(std::move(def));
    }
    fields_ = Fields(1 + random_() % 8, false);
    return BodyIdl(fields_, types_);
  }

  // Appends one random value of the body to `bytes` and says what it means.
  Json Body(std::string* bytes) { return FieldValues(fields_, false, bytes); }

 private:
  std::vector<IdlField> Fields(uint64_t count, bool tuple) {
    std::vector<IdlField> fields;
    for (uint64_t i = 0; i < count; ++i) {
      // Out of order, so that keys have to be sorted, and in both casings.
      std::string name = std::string(1, static_cast<char>('z' - i % 26)) + (random_() % 2 == 0 ? "Camel" : "_snake") +
                         std::to_string(i);
      fields.push_back({tuple ? "" : name, Type(0)});
    }
    return fields;
  }

  IdlType Type(int depth) {
    const uint64_t choice = random_() % (depth < 3 ? 22 : 16);
    if (choice < 16) return Plain(static_cast<TypeKind>(choice));
    if (choice == 16 && !types_.empty()) return Named(types_[random_() % types_.size()].name);
    if (choice == 17) return Of(TypeKind::kArray, {Type(depth + 1)}, 1 + random_() % 4);
    if (choice == 18) return Of(TypeKind::kVec, {Type(depth + 1)});
    if (choice == 19) return Of(TypeKind::kOption, {Type(depth + 1)});
    return Plain(TypeKind::kPubkey);
  }

  Json FieldValues(const std::vector<IdlField>& fields, bool tuple, std::string* bytes) {
    Json out = tuple ? Json::array() : Json::object();
    for (const IdlField& field : fields) {
      Json value = ValueOf(field.type, bytes);
      if (tuple)
        out.push_back(std::move(value));
      else
        out[SnakeCase(field.name)] = std::move(value);
    }
    return out;
  }

  template <typename T>
  T Number(std::string* bytes) {
    T v = 0;
    switch (random_() % 4) {
      case 0:
        v = static_cast<T>(random_() % 3);
        break;
      case 1:
        v = static_cast<T>(-1);
        break;
      default:
        for (size_t i = 0; i < sizeof(T); i += 8)
          v = static_cast<T>(sizeof(T) > 8 ? (static_cast<Uint128>(v) << 64 | random_()) : random_());
    }
    Put(v, bytes);
    return v;
  }
  template <typename T>
  static void Put(T v, std::string* bytes) {
    bytes->append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  template <typename T>
  Json Integer(std::string* bytes) {
    const T v = Number<T>(bytes);
    constexpr int64_t kExact = (int64_t{1} << 53) - 1;  // beyond it numbers are text on the wire
    if constexpr (sizeof(T) == 8) {
      if (v > static_cast<T>(kExact) || (std::is_signed_v<T> && static_cast<int64_t>(v) < -kExact))
        return std::to_string(v);
    }
    return v;
  }
  static std::string Decimal(bool negative, Uint128 v) {
    std::string text;
    do text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(v % 10)));
    while ((v /= 10) != 0);
    return (negative ? "-" : "") + text;
  }
  template <typename T>
  Json Real(std::string* bytes) {
    static const double kSome[] = {0, 1, -1.5, 0.1, 1e30, -1e-30, INFINITY, NAN};
    const T v = static_cast<T>(kSome[random_() % std::size(kSome)]);
    Put(v, bytes);
    return std::isfinite(v) ? Json(static_cast<double>(v)) : Json();
  }
  Json Numbers(size_t count, std::string* bytes) {
    Json out = Json::array();
    for (size_t i = 0; i < count; ++i) {
      Put(static_cast<uint8_t>(random_()), bytes);
      out.push_back(static_cast<uint8_t>(bytes->back()));
    }
    return out;
  }

  Json NumberOf(TypeKind kind, std::string* bytes) {
    switch (kind) {
      case TypeKind::kU8:
        return Integer<uint8_t>(bytes);
      case TypeKind::kU16:
        return Integer<uint16_t>(bytes);
      case TypeKind::kU32:
        return Integer<uint32_t>(bytes);
      case TypeKind::kU64:
        return Integer<uint64_t>(bytes);
      case TypeKind::kI8:
        return Integer<int8_t>(bytes);
      case TypeKind::kI16:
        return Integer<int16_t>(bytes);
      case TypeKind::kI32:
        return Integer<int32_t>(bytes);
      case TypeKind::kI64:
        return Integer<int64_t>(bytes);
      case TypeKind::kU128:
        return Decimal(false, Number<Uint128>(bytes));
      case TypeKind::kI128: {
        const Uint128 v = Number<Uint128>(bytes);
        const bool negative = v >> 127 != 0;
        return Decimal(negative, negative ? -v : v);
      }
      case TypeKind::kF32:
        return Real<float>(bytes);
      case TypeKind::kF64:
        return Real<double>(bytes);
      default:
        ADD_FAILURE() << "no value of this type";
        return {};
    }
  }

  Json ValueOf(const IdlType& type, std::string* bytes) {
    switch (type.kind) {
      case TypeKind::kBool: {
        bytes->push_back(static_cast<char>(random_() % 2));
        return bytes->back() == 1;
      }
      case TypeKind::kString: {
        static const char* kSome[] = {"", "a", "q\"\\\n\x01", "\u00e9\u2019\U0001F600",
                                      "a longer text that is no small string"};
        const std::string text = kSome[random_() % std::size(kSome)];
        Put(static_cast<uint32_t>(text.size()), bytes);
        *bytes += text;
        return text;
      }
      case TypeKind::kBytes: {
        const uint32_t count = static_cast<uint32_t>(random_() % 5);
        Put(count, bytes);
        return Numbers(count, bytes);
      }
      case TypeKind::kPubkey: {
        const size_t at = bytes->size();
        Numbers(32, bytes);
        return EncodeBase58({reinterpret_cast<const uint8_t*>(bytes->data()) + at, 32});
      }
      case TypeKind::kArray:
      case TypeKind::kVec: {
        const uint64_t count = type.kind == TypeKind::kArray ? type.count : random_() % 4;
        if (type.kind == TypeKind::kVec) Put(static_cast<uint32_t>(count), bytes);
        Json out = Json::array();
        for (uint64_t i = 0; i < count; ++i) out.push_back(ValueOf(type.args[0], bytes));
        return out;
      }
      case TypeKind::kOption:
        bytes->push_back(static_cast<char>(random_() % 2));
        return bytes->back() == 1 ? ValueOf(type.args[0], bytes) : Json();
      case TypeKind::kDefined:
        return DefinedValue(types_[static_cast<size_t>(type.name[1] - '0')], bytes);
      default:
        return NumberOf(type.kind, bytes);
    }
  }

  Json DefinedValue(const stack::IdlTypeDef& def, std::string* bytes) {
    if (!def.is_enum) return FieldValues(def.fields, def.is_tuple, bytes);
    const size_t index = random_() % def.variants.size();
    bytes->push_back(static_cast<char>(index));
    const auto& variant = def.variants[index];
    if (variant.fields.empty()) return variant.name;
    return {{variant.name, FieldValues(variant.fields, variant.fields[0].name.empty(), bytes)}};
  }

  Random random_;
  std::vector<stack::IdlTypeDef> types_;
  std::vector<IdlField> fields_;
};

// Every path through structs and tuples below `id`.
void Paths(const Program& program, TypeId id, std::vector<std::string> path,
           std::vector<std::vector<std::string>>* out) {
  out->push_back(path);
  const Type& type = program.types()[id];
  if (type.kind != Kind::kStruct && type.kind != Kind::kTuple) return;
  for (size_t f = 0; f < type.fields.size(); ++f) {
    path.push_back(type.kind == Kind::kStruct ? type.fields[f].name : std::to_string(f));
    Paths(program, type.fields[f].type, path, out);
    path.pop_back();
  }
}

const Json& At(const Json& json, const std::vector<std::string>& path) {
  const Json* at = &json;
  for (const std::string& segment : path) at = at->is_array() ? &at->at(std::stoul(segment)) : &at->at(segment);
  return *at;
}

class Property : public ::testing::TestWithParam<int> {
 protected:
  // Each shard walks its own seeds.
  void ForEachSeed(const std::function<void(uint64_t)>& check) {
    for (int i = 0; i < 60 && !HasFailure(); ++i) {
      const uint64_t seed = static_cast<uint64_t>(GetParam()) * 1000 + static_cast<uint64_t>(i);
      SCOPED_TRACE("seed " + std::to_string(seed));
      check(seed);
    }
  }
};

TEST_P(Property, EveryPathAloneAndAllTogetherReadWhatWasWritten) {
  ForEachSeed([](uint64_t seed) {
    Generator generator(seed);
    const auto program = Compile(generator.Idl());
    ASSERT_NE(program, nullptr);
    const TypeId body = program->accounts()[0].body;
    std::vector<std::vector<std::string>> paths;
    Paths(*program, body, {}, &paths);
    ShapeTable shapes;
    std::vector<Plan::Wanted> wanted;
    for (size_t i = 0; i < paths.size(); ++i) wanted.push_back({paths[i], static_cast<uint16_t>(i)});
    const auto together = Plan::Compile(program, body, wanted, &shapes);
    ASSERT_TRUE(together.ok()) << together.status();
    for (int round = 0; round < 3; ++round) {
      std::string bytes;
      const Json expected = generator.Body(&bytes);
      Arena arena;
      std::vector<Value> registers(paths.size());
      const DecodeResult result = together->Run(Span(bytes), false, &arena, registers.data());
      ASSERT_EQ(result.error, DecodeError::kNone) << Name(result.error) << " at " << result.offset;
      for (size_t i = 0; i < paths.size(); ++i) {
        ASSERT_EQ(ToJson(registers[i], shapes), At(expected, paths[i])) << stack::PathText(paths[i]);
        ASSERT_EQ(ReadPath(program, body, paths[i], bytes), At(expected, paths[i])) << stack::PathText(paths[i]);
      }
    }
  });
}

TEST_P(Property, EveryCutIsFoundAndNoMutationHarms) {
  ForEachSeed([](uint64_t seed) {
    Generator generator(seed);
    const auto program = Compile(generator.Idl());
    const TypeId body = program->accounts()[0].body;
    ShapeTable shapes;
    const auto whole = Plan::Compile(program, body, {{{}, 0}}, &shapes);
    const auto nothing = Plan::Compile(program, body, {}, &shapes);
    ASSERT_TRUE(whole.ok() && nothing.ok());
    std::string bytes;
    generator.Body(&bytes);
    Arena arena;
    Value value;
    for (size_t n = 0; n < bytes.size(); n += 1 + n / 64) {
      // Memory of exactly this size, so that a sanitizer sees every byte beyond.
      const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_EQ(whole->Run(cut, false, &arena, &value).error, DecodeError::kTooShort);
      EXPECT_EQ(nothing->Run(cut, false, &arena, &value).error, DecodeError::kTooShort);
      const DecodeResult padded = whole->Run(cut, true, &arena, &value);
      // A text that was cut inside a character stays broken.
      EXPECT_TRUE(padded.zeros_padded || padded.error == DecodeError::kTooShort ||
                  padded.error == DecodeError::kBadUtf8)
          << Name(padded.error);
    }
    Random random(seed);
    for (int i = 0; i < 100 && !bytes.empty(); ++i) {
      std::vector<uint8_t> mutated(bytes.begin(), bytes.end());
      for (uint64_t k = 0; k <= random() % 4; ++k)
        mutated[random() % mutated.size()] = static_cast<uint8_t>(random() % 3 == 0 ? 255 : random());
      for (const bool pad : {false, true}) {
        if (whole->Run(mutated, pad, &arena, &value).error == DecodeError::kNone) {
          EXPECT_TRUE(ToJson(value, shapes).is_object());
        }
        (void)nothing->Run(mutated, pad, &arena, &value);
      }
      arena.Clear();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Seeds, Property, ::testing::Range(0, 5));

}  // namespace
}  // namespace everstate::idl
