// everstate decode: what a recording means, one JSON object a line, in the order of the file.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/base58.h"
#include "server/base/last_words.h"
#include "server/cli/cli.h"
#include "server/cli/decode_line.h"
#include "server/config.h"
#include "server/idl/body_json.h"
#include "server/idl/layout.h"
#include "server/idl/program_log.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"
#include "server/stack/idl.h"
#include "server/stack/stack.h"

namespace everstate::cli {
namespace {

using ProgramRef = std::shared_ptr<const idl::Program>;

struct DecodeOptions {
  std::string stack, idl, program, recording;
  bool raw = false;
};

// Decoder: prints the lines of one message after the other; without programs everything as the bytes it is.
//   Thread: one.
class Decoder {
 public:
  explicit Decoder(std::vector<ProgramRef> programs) : programs_(std::move(programs)) {}

  void Message(const RecordedMessage& message) {
    const auto walked = ingest::WalkMessage(message.bytes);
    if (!walked.ok()) return Broken("message", message, std::nullopt, walked.status());
    if (walked->kind == ingest::WalkedMessage::Kind::kAccount) return Account(walked->account, walked->slot);
    if (walked->kind != ingest::WalkedMessage::Kind::kTransaction) return;
    arena_.release();
    const auto transaction = walker_.Walk(message.bytes, &arena_);
    if (!transaction.ok()) return Broken("transaction", message, walked->slot, transaction.status());
    Transaction(*transaction, walked->slot);
  }

  // Messages that are not what a recording holds, so that it is damaged.
  uint64_t broken() const { return broken_; }
  uint64_t first_broken_offset() const { return first_broken_offset_; }

 private:
  // What a line says about the place of an instruction or event.
  struct Place {
    Slot slot = 0;
    const TransactionUpdate* transaction = nullptr;
    const InstructionUpdate* instruction = nullptr;  // of what an instruction carries
    const idl::ProgramLog::Data* logged = nullptr;   // of what the log carries
  };
  struct CpiEvent {
    const idl::Program* program = nullptr;
    std::span<const uint8_t> bytes;  // behind the tag
  };

  void Broken(std::string_view what, const RecordedMessage& message, std::optional<Slot> slot,
              const absl::Status& status) {
    if (++broken_ == 1) first_broken_offset_ = message.offset;
    Line line("error", slot);
    line.Add("of", Plain(what));
    line.Add("offset", std::to_string(message.offset));
    line.Add("reason", Quoted(std::string(status.message())));
    line.Print();
  }

  // Of this id the one that knows the bytes, as a stack may have several IDLs of one program; else the first.
  template <typename Knows>
  const idl::Program* Find(const uint8_t* id, Knows&& knows) const {
    const idl::Program* first = nullptr;
    for (const ProgramRef& program : programs_) {
      if (!std::equal(program->program_id().begin(), program->program_id().end(), id)) continue;
      if (knows(*program)) return program.get();
      if (first == nullptr) first = program.get();
    }
    return first;
  }

  // The reason of an error line, in which `what` is the IDL's item.
  static void AddReason(const std::string& what, const idl::DecodeResult& result, size_t body_bytes, Line* line) {
    line->Add("reason",
              Quoted(fmt::format("{}: {} at byte {} of {}", what, idl::Name(result.error), result.offset, body_bytes)));
  }

  void Account(const AccountUpdate& account, Slot slot) const {
    const idl::Program* program =
        Find(account.owner, [&](const idl::Program& p) { return p.MatchAccount(account.data) >= 0; });
    const bool closed = account.lamports == 0;
    if (program == nullptr && !closed && !programs_.empty()) return;
    const auto begin = [&](std::string_view kind) {
      Line line(kind, slot);
      line.Add("lamports", Plain(std::to_string(account.lamports)));
      line.Add("owner", Key(account.owner));
      line.Add("pubkey", Key(account.pubkey));
      line.Add("writeVersion", Plain(std::to_string(account.write_version)));
      if (program != nullptr && !closed) line.Add("program", Quoted(program->name()));
      return line;
    };
    Line line = begin("account");
    if (programs_.empty())
      line.Add("data", Base64(account.data));
    else
      line.Add("type", closed ? "\"closed\"" : "null");
    const int index = program == nullptr || closed ? -1 : program->MatchAccount(account.data);
    if (index < 0) return line.Print();
    const idl::AccountLayout& layout = program->accounts()[static_cast<size_t>(index)];
    const auto body = account.data.subspan(layout.discriminator.size());
    std::string data;
    const idl::BodyJson json = idl::AppendBodyJson(*program, layout.body, body, false, &data);
    const bool error = json.result.error != idl::DecodeError::kNone;
    line = begin(error ? "error" : "account");
    line.Add("type", Quoted(layout.name));
    if (error) {
      line.Add("of", "\"account\"");
      AddReason("accounts." + layout.name, json.result, body.size(), &line);
    } else {
      line.Add("data", std::move(data));
      if (json.bytes < body.size()) line.Add("trailingBytes", std::to_string(body.size() - json.bytes));
    }
    line.Print();
  }

  void Transaction(const TransactionUpdate& transaction, Slot slot) {
    Line line("transaction", slot);
    std::string keys;
    for (const uint8_t* key : transaction.keys) keys += (keys.empty() ? "" : ",") + Key(key);
    const size_t outer =
        static_cast<size_t>(std::count_if(transaction.instructions.begin(), transaction.instructions.end(),
                                          [](const InstructionUpdate& i) { return i.inner < 0; }));
    line.Add("failed", std::string(Flag(transaction.failed)));
    line.Add("inner", std::to_string(transaction.instructions.size() - outer));
    line.Add("keys", "[" + keys + "]");
    line.Add("outer", std::to_string(outer));
    line.Add("signature", Plain(EncodeBase58({transaction.signature, 64})));
    line.Add("txIndex", std::to_string(transaction.index));
    line.Print();
    cpi_events_.clear();
    for (const InstructionUpdate& instruction : transaction.instructions) {
      Place place{slot, &transaction, &instruction, nullptr};
      const auto knows = [&](const idl::Program& p) {
        return p.MatchInstruction(instruction.data) >= 0 || p.MatchCpiEvent(instruction.data) >= 0;
      };
      if (programs_.empty())
        RawInstruction(place);
      else if (const idl::Program* program = Find(instruction.program, knows))
        Instruction(*program, place);
    }
    if (!programs_.empty()) Logs(transaction, slot);
  }

  static Line Begin(std::string_view kind, std::string program, const Place& place) {
    Line line(kind, place.slot);
    line.Add("program", std::move(program));
    line.Add("failed", std::string(Flag(place.transaction->failed)));
    line.Add("signature", Plain(EncodeBase58({place.transaction->signature, 64})));
    line.Add("txIndex", std::to_string(place.transaction->index));
    if (const InstructionUpdate* instruction = place.instruction; instruction != nullptr) {
      const bool inner = instruction->inner >= 0;
      line.Add("path", inner ? fmt::format("[{},{}]", instruction->outer, instruction->inner)
                             : fmt::format("[{}]", instruction->outer));
      if (inner) line.Add("stackHeight", std::to_string(instruction->height));
    } else {
      line.Add("logLine", std::to_string(place.logged->line));
      line.Add("invocation", std::to_string(place.logged->invocation));
    }
    return line;
  }

  static void RawInstruction(const Place& place) {
    Line line = Begin("instruction", Key(place.instruction->program), place);
    std::string accounts;
    for (const uint8_t index : place.instruction->accounts) {
      accounts += (accounts.empty() ? "" : ",") + Key(place.transaction->keys[index]);
    }
    line.Add("accounts", "[" + accounts + "]");
    line.Add("data", Base64(place.instruction->data));
    line.Print();
  }

  static std::string AccountsJson(const idl::InstructionLayout& layout, const Place& place) {
    std::string out;
    const auto& given = place.instruction->accounts;
    for (size_t i = 0; i < layout.accounts.size(); ++i) {
      const uint8_t* key = i < given.size() ? place.transaction->keys[given[i]] : nullptr;
      const bool optional = i < layout.optional.size() && layout.optional[i];
      if (key == nullptr && !optional) continue;
      if (optional && key != nullptr && std::equal(key, key + 32, place.instruction->program)) key = nullptr;
      out += (out.empty() ? "" : ",") + Quoted(layout.accounts[i]) + ":" + (key == nullptr ? "null" : Key(key));
    }
    return "{" + out + "}";
  }

  void Instruction(const idl::Program& program, const Place& place) {
    const InstructionUpdate& instruction = *place.instruction;
    const int index = program.MatchInstruction(instruction.data);
    if (index < 0) {
      if (HasCpiEventTag(instruction.data)) return CpiEventOf(program, place);
      Line line = Begin("instruction", Quoted(program.name()), place);
      line.Add("name", "null");
      return line.Print();
    }
    const idl::InstructionLayout& layout = program.instructions()[static_cast<size_t>(index)];
    const auto body = instruction.data.subspan(layout.discriminator.size());
    std::string args;
    const idl::BodyJson json = idl::AppendBodyJson(program, layout.args, body, true, &args);
    const bool error = json.result.error != idl::DecodeError::kNone;
    Line line = Begin(error ? "error" : "instruction", Quoted(program.name()), place);
    line.Add("name", Quoted(layout.written));
    line.Add("accounts", AccountsJson(layout, place));
    if (instruction.accounts.size() != layout.accounts.size()) {
      line.Add("accountCountDiff", std::to_string(static_cast<int64_t>(instruction.accounts.size()) -
                                                  static_cast<int64_t>(layout.accounts.size())));
    }
    if (error) {
      line.Add("of", "\"instruction\"");
      AddReason("instructions." + layout.written, json.result, body.size(), &line);
    } else {
      line.Add("args", std::move(args));
      if (json.result.zeros_padded) line.Add("padded", "true");
    }
    line.Print();
    if (const idl::EventMatch match = program.FindLoggedEvent(instruction.data); match.event >= 0) {
      Event(program, match, instruction.data, "instruction", place, false);
    }
  }

  static bool HasCpiEventTag(std::span<const uint8_t> data) {
    return data.size() >= idl::kCpiEventTag.size() &&
           std::equal(idl::kCpiEventTag.begin(), idl::kCpiEventTag.end(), data.begin());
  }

  void CpiEventOf(const idl::Program& program, const Place& place) {
    const auto& data = place.instruction->data;
    cpi_events_.push_back({&program, data.subspan(idl::kCpiEventTag.size())});
    Event(program, program.FindCpiEvent(data), data, "cpi", place, false);
  }

  // Some programs write an event both ways; it is one event, and the line of the log says so.
  bool TakeCpiEvent(const idl::Program& program, std::span<const uint8_t> bytes) {
    const auto it = std::find_if(cpi_events_.begin(), cpi_events_.end(), [&](const CpiEvent& event) {
      return event.program == &program &&
             std::equal(event.bytes.begin(), event.bytes.end(), bytes.begin(), bytes.end());
    });
    if (it == cpi_events_.end()) return false;
    cpi_events_.erase(it);
    return true;
  }

  void Logs(const TransactionUpdate& transaction, Slot slot) {
    log_.Begin(transaction.logs);
    for (idl::ProgramLog::Data data; log_.Next(&data);) {
      const idl::Program* program =
          Find(data.program.data(), [&](const idl::Program& p) { return p.FindLogEvent(data.bytes).event >= 0; });
      if (program == nullptr) continue;
      const Place place{slot, &transaction, nullptr, &data};
      Event(*program, program->FindLogEvent(data.bytes), data.bytes, "log", place, TakeCpiEvent(*program, data.bytes));
    }
  }

  static void Event(const idl::Program& program, const idl::EventMatch& match, std::span<const uint8_t> bytes,
                    std::string_view source, const Place& place, bool duplicate) {
    std::string name = "null", data;
    idl::BodyJson json;
    size_t body_bytes = 0;
    if (match.event >= 0) {
      const idl::EventLayout& layout = program.events()[static_cast<size_t>(match.event)];
      name = Quoted(layout.name);
      body_bytes = bytes.size() - match.body_at;
      json = idl::AppendBodyJson(program, layout.body, bytes.subspan(match.body_at), false, &data);
    }
    const bool error = json.result.error != idl::DecodeError::kNone;
    Line line = Begin(error ? "error" : "event", Quoted(program.name()), place);
    line.Add("source", Plain(source));
    line.Add("name", name);
    if (duplicate) line.Add("duplicate", "true");
    if (error) {
      line.Add("of", "\"event\"");
      AddReason("events." + program.events()[static_cast<size_t>(match.event)].name, json.result, body_bytes, &line);
    } else if (match.event >= 0) {
      line.Add("data", std::move(data));
    }
    line.Print();
  }

  const std::vector<ProgramRef> programs_;
  std::pmr::monotonic_buffer_resource arena_;
  ingest::TransactionWalker walker_;
  idl::ProgramLog log_;
  std::vector<CpiEvent> cpi_events_;  // of the transaction, as far as its log has not had them
  uint64_t broken_ = 0, first_broken_offset_ = 0;
};

absl::StatusOr<std::vector<ProgramRef>> LoadPrograms(const DecodeOptions& options) {
  std::vector<stack::Idl> idls;
  if (!options.stack.empty()) {
    const auto stack = stack::LoadStack(options.stack);
    if (!stack.ok()) return stack.status();
    idls = (*stack)->idls;
  } else if (!options.idl.empty()) {
    auto idl = stack::LoadIdl(options.idl, options.program);
    if (!idl.ok()) return idl.status();
    idls.push_back(*std::move(idl));
  }
  stack::Diagnostics diagnostics(options.stack.empty() ? options.idl : options.stack);
  const stack::Place root(&diagnostics);
  std::vector<ProgramRef> programs;
  for (size_t i = 0; i < idls.size(); ++i) {
    programs.push_back(idl::Program::Compile(idls[i], options.stack.empty() ? root : root.At("idls", i)));
  }
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return programs;
}

absl::Status Decode(const DecodeOptions& options) {
  if (options.stack.empty() && options.idl.empty() && !options.raw) {
    return absl::InvalidArgumentError("one of --stack, --idl and --raw must say how to decode");
  }
  auto programs = LoadPrograms(options);
  if (!programs.ok()) return programs.status();
  auto reader = RecordingReader::Open(options.recording);
  if (!reader.ok()) return reader.status();
  if (reader->size_bytes() == 0)
    return absl::InvalidArgumentError(fmt::format("recording {} is empty", options.recording));
  Decoder decoder(*std::move(programs));
  while (!StopRequested()) {
    auto message = reader->Next();
    if (!message.ok()) return message.status();
    if (!*message) break;
    decoder.Message(**message);
    if (std::ferror(stdout) != 0) return absl::OkStatus();  // who prints says so (Printed)
  }
  if (decoder.broken() == 0) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("{}: {} messages cannot be read, the first one at offset {}: the recording is damaged",
                  options.recording, decoder.broken(), decoder.first_broken_offset()));
}

}  // namespace

void AddDecodeCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<DecodeOptions>();
  CLI::App* decode = app.add_subcommand(
      "decode", "Print what a recording holds as JSON lines: accounts, transactions, instructions, events");
  decode->footer(
      "Each line is an object of the kind account, transaction, instruction, event or error; server/cli/README.md says "
      "what a kind holds.\n"
      "What an IDL cannot decode is a line of the kind error. A recording that is cut or damaged is decoded as far as "
      "it can be read; then the exit code is 2.");
  auto* stack = decode->add_option("--stack", options->stack, "Decode with this stack's IDLs");
  stack->check(NotEmpty())->type_name("FILE");
  auto* idl =
      decode->add_option("--idl", options->idl, "Decode with this IDL: Anchor's old or new form, Steel's or Codama's");
  idl->check(NotEmpty())->type_name("FILE")->excludes(stack);
  decode->add_option("--program", options->program, "Program id, instead of the one that the IDL says")
      ->needs(idl)
      ->check(NotEmpty())
      ->type_name("ID");
  decode->add_flag("--raw", options->raw, "Decode nothing: all accounts and instructions as base64")
      ->excludes(stack)
      ->excludes(idl);
  decode->add_option("RECORDING", options->recording, "A recording (*.updates): a file, not a pipe")
      ->required()
      ->check(NotEmpty());
  decode->callback([options, exit_code] {
    EndWithTheReader();
    if (absl::Status status = Decode(*options); !status.ok()) {
      LogErrorLines(Room::kCli, std::string(status.message()));
      *exit_code = static_cast<int>(ExitCode::kConfiguration);
    }
  });
}

}  // namespace everstate::cli
