#include "server/settings.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/setting_kinds.h"

// Where a setting lies in the Config, for reading and for writing.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a name, or several with dots between, cannot stand in parentheses.
#define FIELD(member) [](auto& whole) -> auto& { return whole.member; }

namespace everstate {
namespace {

using std::chrono::milliseconds;

// Of a rewind: what stands beside resume_from, and means nothing without it.
Setting OfRewind(std::string_view name, bool RewindRequest::*member, std::string_view help) {
  return {.name = name,
          .kind = SettingKind::kSwitch,
          .unit = "",
          .help = help,
          .parse =
              [member](const std::string& text, Config* config) {
                const auto value = ParseSwitch(text);
                if (!value.ok()) return value.status();
                if (*value && !config->rewind.has_value())
                  return absl::InvalidArgumentError("says nothing without resume_from");
                if (config->rewind.has_value()) *config->rewind.*member = *value;
                return absl::OkStatus();
              },
          .format = [member](const Config& config) -> std::string {
            return config.rewind.has_value() && *config.rewind.*member ? "true" : "false";
          }};
}

Setting Also(std::string_view also, Setting setting) {
  setting.also = also;
  return setting;
}

Setting Required(Setting setting) {
  setting.required = true;
  return setting;
}

Setting Endpoint() {
  Setting setting = TextSetting("endpoint", "URL", FIELD(endpoint), "Yellowstone gRPC endpoint, http(s)://host[:port]");
  setting.parse = [](const std::string& text, Config* config) {
    config->endpoint = text;
    return ingest::CheckEndpoint(text);  // which keeps to itself what may be a credential
  };
  return Required(Also("YELLOWSTONE_ENDPOINT", std::move(setting)));
}

Setting Token() {
  Setting setting =
      TextSetting("x_token", "TOKEN", FIELD(x_token),
                  "Token of the endpoint. As a flag it is visible to other users of the machine: prefer x_token_file");
  setting.parse = [](const std::string& text, Config* config) {
    absl::Status status = text.empty() ? absl::InvalidArgumentError("\"\" is empty") : ingest::CheckToken(text);
    if (status.ok()) config->x_token = text;
    return status;
  };
  setting.secret = true;
  return Also("YELLOWSTONE_X_TOKEN", std::move(setting));
}

Setting TokenFile() {
  Setting setting = TextSetting("x_token_file", "FILE", FIELD(x_token_file), "File whose first line is the token");
  setting.parse = [](const std::string& text, Config* config) {
    config->x_token_file = text;
    return Put(ReadTokenFile(text), FIELD(x_token), config);
  };
  return setting;
}

Setting CommitmentLevel() {
  return {.name = "commitment",
          .kind = SettingKind::kText,
          .unit = "confirmed|finalized",
          .help = "How far a block must be before it is projected",
          .parse = [](const std::string& text,
                      Config* config) { return Put(ParseCommitment(text), FIELD(commitment), config); },
          .format = [](const Config& config) -> std::string {
            return config.commitment == Commitment::kFinalized ? "finalized" : "confirmed";
          }};
}

Setting FromSlot() {
  return {.name = "from_slot",
          .kind = SettingKind::kNumber,
          .unit = "SLOT",
          .help = "Where an empty store begins; ignored when the store has a position",
          .parse = [](const std::string& text,
                      Config* config) { return Put(ParseNumber(text, 0, kNumberMax), FIELD(from_slot), config); },
          .format =
              [](const Config& config) { return config.from_slot.has_value() ? absl::StrCat(*config.from_slot) : ""; }};
}

Setting ResumeFrom() {
  return {.name = "resume_from",
          .kind = SettingKind::kNumber,
          .unit = "SLOT",
          .help =
              "Rewind: begin again from the newest checkpoint at or before this slot, unless the present generation "
              "was made by the same request",
          .parse =
              [](const std::string& text, Config* config) {
                const auto slot = ParseNumber(text, 0, kNumberMax);
                // Also when it is none: then that is what is wrong, and not what stands beside it.
                config->rewind = RewindRequest{.slot = slot.value_or(0)};
                return slot.status();
              },
          .format =
              [](const Config& config) { return config.rewind.has_value() ? absl::StrCat(config.rewind->slot) : ""; }};
}

Setting CheckpointEvery() {
  return {.name = "checkpoint.every",
          .kind = SettingKind::kText,
          .unit = "TIME|SLOTS|off",
          .help =
              "Make a checkpoint every so much time (90s, 10m, 6h, 1d) or slots (5000slots); off = on demand only. It "
              "is hard "
              "links: it costs the disk what changes afterwards, and a rewind repeats at most this much more than "
              "asked for",
          .parse =
              [](const std::string& text, Config* config) {
                const auto schedule = ParseCheckpointEvery(text);
                if (!schedule.ok()) return schedule.status();
                config->checkpoints.every = schedule->every;
                config->checkpoints.every_slots = schedule->every_slots;
                return absl::OkStatus();
              },
          .format = [](const Config& config) { return FormatCheckpointEvery(config.checkpoints); }};
}

Setting WalSync() {
  return {
      .name = "store.wal_sync",
      .kind = SettingKind::kText,
      .unit = "TIME|slot",
      .help =
          "How often the write-ahead log is synced to the disk: what a power loss may take. slot = with every batch",
      .parse =
          [](const std::string& text, Config* config) {
            if (text == "slot") {
              config->store.wal_sync_interval_ms = 0;
              return absl::OkStatus();
            }
            const auto time = ParseTime(text);
            if (!time.ok()) return time.status();
            if (*time < milliseconds(1) || *time > kTimeMax)
              return Refuse(text, "does not lie between 1ms and 49d; slot = with every batch");
            PutTime(*time, &config->store.wal_sync_interval_ms);
            return absl::OkStatus();
          },
      .format = [](const Config& config) -> std::string {
        return config.store.wal_sync_interval_ms == 0 ? "slot"
                                                      : FormatTime(milliseconds(config.store.wal_sync_interval_ms));
      }};
}

Setting LogLevels() {
  return {.name = "log.levels",
          .kind = SettingKind::kLevels,
          .unit = "ROOM=LEVEL,…",
          .help = "Levels of single rooms, in place of log.level",
          .parse = [](const std::string& text,
                      Config* config) { return Put(ParseLogLevels(text), FIELD(log.levels), config); },
          .format = [](const Config& config) { return FormatLogLevels(config.log.levels); }};
}

constexpr uint64_t kAny = std::numeric_limits<uint64_t>::max();

std::vector<Setting> OfServer() {
  return {
      Required(TextSetting("stack", "FILE", FIELD(stack_file), "Stack file (*.stack.json)")),
      Endpoint(),
      Token(),
      TokenFile(),
      AddressSetting("listen", FIELD(listen), "WebSocket and HTTP address; port 0 takes a free one"),
      AddressOrOffSetting("admin", FIELD(admin),
                          "Address of the admin service (console, checkpoint); off = none. It has no authentication"),
      TextSetting("data", "DIR", FIELD(data_dir), "Data directory; when it is not set ./data/<stack name>"),
      CommitmentLevel(),
      FromSlot(),
      ResumeFrom(),
      OfRewind("again", &RewindRequest::again,
               "Rewind also when the present generation was made by the same resume_from"),
      OfRewind("accept_gap", &RewindRequest::accept_gap,
               "Rewind also when blocks are missing: the hole becomes a recorded gap"),
      SwitchSetting("progress", FIELD(progress),
                    "Keep one line on stdout up to date: slot, lag, updates/s, entities, sessions"),
      BytesSetting("archive.keep", FIELD(archive_keep_bytes), 0, kAny,
                   "Keep so many bytes of raw blocks, so that a rewind needs no provider; 0 = no archive"),
      CheckpointEvery(),
      Also("--checkpoints-keep", NumberSetting("checkpoint.keep", FIELD(checkpoints.keep), 1, 100000,
                                               "Keep the newest so many checkpoints when one was made")),
      AddressOrOffSetting("health.listen", FIELD(health_listen),
                          "A second address for health, status and metrics alone; off = none"),
      TimeSetting("health.slot_silence", FIELD(health_slot_silence),
                  "/ready says 503 when no slot was heard for so long"),
      TimeSetting("health.heartbeat", FIELD(health_heartbeat),
                  "A stream that is not ready is logged so often; 0s = never", std::chrono::milliseconds(0)),
      ChoiceSetting("log.format", FIELD(log.format), kLogFormatNames, "A line of text or a JSON object a record"),
      ChoiceSetting("log.level", FIELD(log.level), kLogLevelNames, "What is less important is not written"),
      LogLevels(),
  };
}

// The stream, what is made of it and where it is kept.
std::vector<Setting> OfLine() {
  return {
      NumberSetting(
          "projection.append_keep", FIELD(projection.append_keep), 1, kAny,
          "Arrays that are appended to keep at least so many newest elements. What stands in [projection] is part "
          "of a store: with other values it is not opened"),
      NumberSetting("projection.waiting_slots_max", FIELD(projection.waiting_slots_max), 0, kAny,
                    "An event whose key is not known waits for so many slots"),
      NumberSetting("projection.waiting_per_address_max", FIELD(projection.waiting_per_address_max), 1, kAny,
                    "So many events wait for the key of one address; the oldest fall out"),
      BytesSetting("projection.waiting_bytes_max", FIELD(projection.waiting_bytes_max), 0, kAny,
                   "All waiting events together; the oldest fall out"),
      TimeSetting("stream.connect_timeout", FIELD(provider.connect_timeout_ms),
                  "A connection that does not come about is given up"),
      TimeSetting("stream.ping_interval", FIELD(provider.ping_interval_ms),
                  "Pings to the provider, so that proxies see a client that speaks", milliseconds(1000)),
      BytesSetting("stream.message_max", FIELD(provider.receive_bytes_max), 1u << 20, 2047u << 20,
                   "A larger message ends the connection; the largest account needs 11 MiB"),
      TimeSetting("stream.silence_max", FIELD(stream.silence_max),
                  "Nothing heard for so long: the connection is begun anew"),
      TimeSetting("stream.backoff_max", FIELD(stream.backoff_max),
                  "The longest pause between two tries to connect; it begins at 100ms and doubles, with full jitter",
                  milliseconds(100)),
      TimeSetting("stream.parent_wait", FIELD(stream.ledger.parent_wait),
                  "A block whose parent is missing waits so long, then there is a gap"),
      NumberSetting("stream.open_slots_max", FIELD(stream.ledger.open_slots_max), 1, kAny,
                    "More slots that are not whole end the connection"),
      BytesSetting("stream.open_bytes_max", FIELD(stream.ledger.open_bytes_max), 1u << 20, kAny, "The same in bytes"),
      NumberSetting("inbox.blocks_max", FIELD(inbox_blocks_max), 1, kAny,
                    "Blocks that wait for the projector; then the stream is held back"),
      BytesSetting("inbox.bytes_max", FIELD(inbox_bytes_max), 1u << 20, kAny, "The same in bytes"),
      WalSync(),
      NumberSetting("store.journal_slots", FIELD(store.journal_slots), 1, kAny,
                    "Batches of so many newest slots stay in the journal"),
      BytesSetting("store.block_cache", FIELD(store.block_cache_bytes), 1u << 20, kAny,
                   "Memory for blocks of the store that were read"),
      BytesSetting("store.state_cache", FIELD(projector.state_cache_bytes_max), 1u << 20, kAny,
                   "Memory for entities that the projector has at hand"),
  };
}

// Those who listen.
std::vector<Setting> OfSessions() {
  return {
      NumberSetting("sessions.max", FIELD(fanout.sessions_max), 1, kAny, "More WebSocket sessions are refused"),
      NumberSetting("sessions.subscriptions_max", FIELD(fanout.subscriptions_per_session_max), 1, kAny,
                    "Subscriptions of one session"),
      BytesSetting("sessions.queue_max", FIELD(fanout.session_queue_bytes_max), 64u << 10, kAny,
                   "What waits for a slow session; beyond it it is closed, 1013"),
      BytesSetting("sessions.message_max", FIELD(fanout.client_message_bytes_max), 1u << 10, 64u << 20,
                   "A larger message of a client closes its session, 1009"),
      TimeSetting("sessions.ping_interval", FIELD(fanout.ping_interval_ms),
                  "Protocol pings; two without a pong close the session"),
      TimeSetting("sessions.idle_timeout", FIELD(fanout.idle_timeout_ms),
                  "Nothing heard of a client for so long: closed, 1012"),
      TimeSetting("sessions.handshake_timeout", FIELD(fanout.handshake_timeout_ms),
                  "From the connection to the upgrade or the end of a request"),
      TimeSetting("sessions.close_timeout", FIELD(fanout.close_timeout_ms),
                  "How long a close may take before the socket is reset"),
      TimeSetting("sessions.slow_close_timeout", FIELD(fanout.slow_close_timeout_ms),
                  "The same for a session that is closed because it was slow"),
      TimeSetting("sessions.snapshot_timeout", FIELD(fanout.look_timeout_ms),
                  "A session that takes nothing of its snapshot for so long is closed, 1013"),
      NumberSetting("snapshot.rows_first", FIELD(fanout.snapshot_rows_first), 1, 10000,
                    "Rows of the first frame of a snapshot"),
      NumberSetting("snapshot.rows_next", FIELD(fanout.snapshot_rows_next), 1, 10000, "Rows of its later frames"),
      BytesSetting("snapshot.frame_max", FIELD(fanout.snapshot_frame_bytes_max), 1u << 10, 64u << 20,
                   "A frame is cut before it grows beyond; some clients take 1 MiB at most"),
      NumberSetting("tap.batches_max", FIELD(fanout.tap_batches_max), 1, kAny,
                    "What waits for one tap of the bus (console); beyond it batches are dropped and counted"),
      BytesSetting("tap.bytes_max", FIELD(fanout.tap_bytes_max), 64u << 10, kAny, "The same in bytes"),
      NumberSetting("threads.lanes", FIELD(fanout.lanes), 0, 256, "Threads that send; 0 = cores - 3, at least 1"),
      NumberSetting("threads.readers", FIELD(fanout.readers), 1, 256, "Threads that read snapshots out of the store"),
      NumberSetting("threads.admin", FIELD(admin_threads_max), 4, 4096,
                    "Threads of the admin service: one for each call under way"),
  };
}

std::vector<Setting> MakeSettings() {
  std::vector<Setting> settings = OfServer();
  for (auto more : {OfLine(), OfSessions()}) std::ranges::move(more, std::back_inserter(settings));
  return settings;
}

// The number of letters to insert, delete or replace.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

}  // namespace

std::string Setting::Flag() const {
  return absl::StrCat("--", absl::StrReplaceAll(std::string(name), {{".", "-"}, {"_", "-"}}));
}

std::string Setting::Variable() const {
  return absl::StrCat(std::string(kVariablePrefix),
                      absl::AsciiStrToUpper(absl::StrReplaceAll(std::string(name), {{".", "_"}})));
}

const std::vector<Setting>& Settings() {
  static const std::vector<Setting> settings = MakeSettings();
  return settings;
}

const Setting* FindSetting(std::string_view name) {
  const auto found = std::ranges::find(Settings(), name, &Setting::name);
  return found == Settings().end() ? nullptr : &*found;
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto nearest =
      std::ranges::min_element(candidates, {}, [word](const std::string& c) { return Distance(word, c); });
  return nearest == candidates.end() ? "" : *nearest;
}

}  // namespace everstate
