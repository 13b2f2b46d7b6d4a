// The update path of one mutation: the next row, its JSON, and base58.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/base/base58.h"
#include "storage/row.h"
#include "tests/bench/example_entity.h"

namespace everstate {
namespace {

using bench::ExampleRow, bench::kFields;

Mutation OneFieldChanged() {
  return bench::OneFieldChanged("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", ExampleRow(), {250000001, 4}, 42);
}

void BuildNextRowOneFieldOfTwenty(benchmark::State& state) {
  const RowRef before = ExampleRow();
  RowEditor editor;
  uint64_t n = 0;
  for (auto _ : state) {
    editor.Reset(before, kFields);
    benchmark::DoNotOptimize(editor.Set(13, Value::Uint(++n)));
    benchmark::DoNotOptimize(editor.Build({250000001, 4}, 100).after);
  }
  state.counters["row_bytes"] = static_cast<double>(before->bytes().size());
}
BENCHMARK(BuildNextRowOneFieldOfTwenty);

void ParseRow(benchmark::State& state) {
  const RowRef row = ExampleRow();
  for (auto _ : state) benchmark::DoNotOptimize(Row::Parse(row->bytes(), kFields));
}
BENCHMARK(ParseRow);

void EntityJson(benchmark::State& state) {
  const auto schema = bench::ExampleSchema();
  const RowRef row = ExampleRow();
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendEntityJson(*schema, schema->entity(0), *row, &out);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["json_bytes"] = static_cast<double>(out.size());
}
BENCHMARK(EntityJson);

void PatchJson(benchmark::State& state, const Mutation& mutation) {
  const auto schema = bench::ExampleSchema();
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendPatchJson(*schema, schema->entity(0), mutation, &out);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["json_bytes"] = static_cast<double>(out.size());
}

// A patch of all twenty fields, and one of a single field.
void PatchJsonTwentyFields(benchmark::State& state) {
  Mutation mutation = OneFieldChanged();
  mutation.changed = mutation.after->present();
  PatchJson(state, mutation);
}
BENCHMARK(PatchJsonTwentyFields);

void PatchJsonOneField(benchmark::State& state) { PatchJson(state, OneFieldChanged()); }
BENCHMARK(PatchJsonOneField);

void NlohmannDump(benchmark::State& state) {
  const auto schema = bench::ExampleSchema();
  std::string text;
  AppendEntityJson(*schema, schema->entity(0), *ExampleRow(), &text);
  const nlohmann::json document = nlohmann::json::parse(text);
  for (auto _ : state) benchmark::DoNotOptimize(document.dump());
}
BENCHMARK(NlohmannDump);

std::vector<uint8_t> SomeKey() {
  std::vector<uint8_t> key(32);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(37 * i + 11);
  return key;
}

void Base58Key32Fast(benchmark::State& state) {
  std::vector<uint8_t> key = SomeKey();
  char text[kKey32TextMax];
  for (auto _ : state) {
    ++key[31];
    benchmark::DoNotOptimize(EncodeBase58Key32(key.data(), text));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Base58Key32Fast);

void Base58Key32General(benchmark::State& state) {
  std::vector<uint8_t> key = SomeKey();
  for (auto _ : state) {
    ++key[31];
    benchmark::DoNotOptimize(EncodeBase58(key));
  }
}
BENCHMARK(Base58Key32General);

}  // namespace
}  // namespace everstate
