// What reading costs: a large Anchor event and a fixed account, some fields and the whole.
#include <benchmark/benchmark.h>

#include <cstring>

#include "server/idl/extract.h"

namespace everstate::idl {
namespace {

using Kind = stack::IdlType::Kind;

stack::IdlType Plain(Kind kind) {
  stack::IdlType type;
  type.kind = kind;
  return type;
}

// As a trade event of a market: keys, amounts, flags, a text near the end.
std::shared_ptr<const Program> TradeProgram(std::string* body) {
  stack::Idl idl;
  idl.name = "bench";
  idl.program_id = std::string(32, '1');
  stack::IdlAccount account;
  account.name = "Trade";
  account.discriminator = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto add = [&](const std::string& name, Kind kind, size_t bytes) {
    account.fields.push_back({name, Plain(kind)});
    body->append(bytes, kind == Kind::kBool ? '\1' : '\7');
  };
  for (int i = 0; i < 4; ++i) add("key" + std::to_string(i), Kind::kPubkey, 32);
  for (int i = 0; i < 18; ++i) add("amount" + std::to_string(i), Kind::kU64, 8);
  for (int i = 0; i < 2; ++i) add("flag" + std::to_string(i), Kind::kBool, 1);
  account.fields.push_back({"text", Plain(Kind::kString)});
  *body += std::string("\3\0\0\0buy", 7);
  for (int i = 0; i < 3; ++i) add("late" + std::to_string(i), Kind::kI64, 8);
  idl.accounts.push_back(std::move(account));
  auto program = Program::Compile(idl);
  return *program;
}

std::span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

void RunPlan(benchmark::State& state, const std::vector<std::vector<std::string>>& paths) {
  std::string body;
  const auto program = TradeProgram(&body);
  ShapeTable shapes;
  std::vector<Plan::Wanted> wanted;
  for (size_t i = 0; i < paths.size(); ++i) wanted.push_back({paths[i], static_cast<uint16_t>(i)});
  const auto plan = Plan::Compile(program, program->accounts()[0].body, wanted, &shapes);
  std::vector<Value> registers(paths.size());
  Arena arena;
  for (auto _ : state) {
    const DecodeResult result = plan->Run(Span(body), false, &arena, registers.data());
    if (result.error != DecodeError::kNone) state.SkipWithError("decode error");
    benchmark::DoNotOptimize(registers.data());
    arena.Clear();
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_FiveFixedFields(benchmark::State& state) {
  RunPlan(state, {{"key1"}, {"amount3"}, {"amount4"}, {"amount9"}, {"flag1"}});
}
void BM_FieldsBehindAText(benchmark::State& state) { RunPlan(state, {{"key0"}, {"text"}, {"late2"}}); }
void BM_AllFields(benchmark::State& state) {
  std::vector<std::vector<std::string>> paths;
  for (int i = 0; i < 4; ++i) paths.push_back({"key" + std::to_string(i)});
  for (int i = 0; i < 18; ++i) paths.push_back({"amount" + std::to_string(i)});
  paths.insert(paths.end(), {{"flag0"}, {"flag1"}, {"text"}, {"late0"}, {"late1"}, {"late2"}});
  RunPlan(state, paths);
}
void BM_WholeBodyAsObject(benchmark::State& state) { RunPlan(state, {{}}); }
BENCHMARK(BM_FiveFixedFields);
BENCHMARK(BM_FieldsBehindAText);
BENCHMARK(BM_AllFields);
BENCHMARK(BM_WholeBodyAsObject);

void BM_MatchByDiscriminator(benchmark::State& state) {
  std::string body;
  const auto program = TradeProgram(&body);
  const std::string data = std::string("\1\2\3\4\5\6\7\10", 8) + body;
  for (auto _ : state) benchmark::DoNotOptimize(program->MatchAccount(Span(data)));
}
BENCHMARK(BM_MatchByDiscriminator);

}  // namespace
}  // namespace everstate::idl
