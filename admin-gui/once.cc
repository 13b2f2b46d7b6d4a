#include "admin-gui/once.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "admin-gui/format.h"
#include "admin-gui/rates.h"

namespace everstate::console {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kUnknown[] = "—";
constexpr size_t kNameCharsMax = 60;

Json OrNull(std::optional<double> value) { return value ? Json(*value) : Json(); }

template <typename Format>
std::string OrUnknown(std::optional<double> value, Format format) {
  return value ? format(*value) : kUnknown;
}

std::optional<double> LagSlots(const api::Status& status) {
  return status.has_store() && status.store().has_lag_slots()
             ? std::optional(static_cast<double>(status.store().lag_slots()))
             : std::nullopt;
}
std::optional<double> LagSeconds(const api::Status& status) {
  return status.has_store() && status.store().has_lag_seconds() ? std::optional(status.store().lag_seconds())
                                                                : std::nullopt;
}

Json RewindJson(const api::Rewind& rewind) {
  return {{"state", rewind.state()},
          {"requested_slot", rewind.requested_slot()},
          {"checkpoint", rewind.checkpoint()},
          {"generation", rewind.generation()},
          {"from_slot", rewind.from_slot()},
          {"slot", rewind.slot()},
          {"target_slot", rewind.target_slot()},
          {"error", rewind.error()}};
}

}  // namespace

bool Healthy(const Probe& probe) {
  return probe.second.ready() && probe.second.has_stream() && probe.second.stream().state() == "live";
}

std::string OnceJson(const std::string& address, const Probe& probe) {
  const api::Status& now = probe.second;
  const Rates rates = RatesBetween(&probe.first, now);
  Json json;
  json["address"] = address;
  json["healthy"] = Healthy(probe);
  json["ready"] = now.ready();
  json["version"] = probe.info ? Json(probe.info->version()) : Json();
  json["interface_version"] = probe.info ? Json(probe.info->interface_version()) : Json();
  json["interface_version_known"] = probe.info && probe.info->interface_version() == kInterfaceVersion;
  json["stack"] = probe.info ? Json(probe.info->stack_name()) : Json();
  json["state"] = now.has_stream() ? Json(now.stream().state()) : Json();
  json["error"] = now.has_stream() && !now.stream().error().empty() ? Json(now.stream().error()) : Json();
  json["reconnects"] = now.has_stream() ? Json(now.stream().reconnects()) : Json();
  json["newest_slot"] = now.has_stream() && now.stream().has_newest_slot() ? Json(now.stream().newest_slot()) : Json();
  json["slot"] = now.has_store() && now.store().has_slot() ? Json(now.store().slot()) : Json();
  json["lag_slots"] = now.has_store() && now.store().has_lag_slots() ? Json(now.store().lag_slots()) : Json();
  json["lag_seconds"] = OrNull(LagSeconds(now));
  json["generation"] = now.has_store() ? Json(now.store().generation()) : Json();
  json["entities"] = now.has_store() ? Json(now.store().entities()) : Json();
  json["measured_over_seconds"] = OrNull(rates.seconds);
  json["updates_per_second"] = OrNull(rates.updates_per_s);
  json["blocks_per_second"] = OrNull(rates.blocks_per_s);
  json["stream_bytes_per_second"] = OrNull(rates.bytes_per_s);
  json["stages"] = Json::object();
  for (const StageRate& stage : rates.stages) {
    json["stages"][stage.name] = {{"unit", stage.unit},
                                  {"per_second", OrNull(stage.per_s)},
                                  {"busy", OrNull(stage.busy)},
                                  {"us_per_unit", OrNull(stage.us_per_unit)}};
  }
  json["views"] = Json::object();
  for (const ViewRate& view : rates.views) {
    json["views"][view.id] = {{"frames_per_second", OrNull(view.frames_per_s)},
                              {"bytes_per_second", OrNull(view.bytes_per_s)},
                              {"frames", view.frames},
                              {"bytes", view.bytes},
                              {"listeners", view.listeners}};
  }
  json["gaps"] = Json::array();
  for (const api::Gap& gap : now.gaps())
    json["gaps"].push_back({{"from", gap.from()}, {"to", gap.to()}, {"cause", gap.cause()}});
  json["gaps_total"] = now.gaps_total();
  json["faults"] = now.faults();
  json["rewind"] = now.has_rewind() ? RewindJson(now.rewind()) : Json();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string OnceText(const std::string& address, const Probe& probe) {
  const api::Status& now = probe.second;
  const Rates rates = RatesBetween(&probe.first, now);
  std::string out;
  auto line = [&](std::string_view name, const std::string& text) { out += fmt::format("{:<12} {}\n", name, text); };
  const auto count = [](double value) { return Count(static_cast<uint64_t>(value)); };
  line("server",
       address + (probe.info ? fmt::format(", version {}, stack {}", Clip(probe.info->version(), kNameCharsMax),
                                           Clip(probe.info->stack_name(), kNameCharsMax))
                             : ", says nothing of itself"));
  if (!probe.info || probe.info->interface_version() != kInterfaceVersion) {
    line("interface",
         fmt::format("{}, this console knows {}: what both know is shown",
                     probe.info ? std::to_string(probe.info->interface_version()) : kUnknown, kInterfaceVersion));
  }
  line("health", fmt::format("{}: stream {}, {}", Healthy(probe) ? "healthy" : "UNHEALTHY",
                             now.has_stream() ? Clip(now.stream().state(), kNameCharsMax) : kUnknown,
                             now.ready() ? "ready" : "not ready"));
  if (now.has_stream() && !now.stream().error().empty()) line("error", Clip(now.stream().error(), 400));
  line("slot",
       fmt::format(
           "{}, newest heard {}, lag {} slots, {}",
           now.has_store() && now.store().has_slot() ? std::to_string(now.store().slot()) : kUnknown,
           now.has_stream() && now.stream().has_newest_slot() ? std::to_string(now.stream().newest_slot()) : kUnknown,
           OrUnknown(LagSlots(now), count), OrUnknown(LagSeconds(now), Seconds)));
  line("store", now.has_store()
                    ? fmt::format("generation {}, {} entities", now.store().generation(), Count(now.store().entities()))
                    : kUnknown);
  line("rates", fmt::format("{} updates, {} blocks, {} from the stream, over {}",
                            OrUnknown(rates.updates_per_s, PerSecond), OrUnknown(rates.blocks_per_s, PerSecond),
                            OrUnknown(rates.bytes_per_s, BytesPerSecond), OrUnknown(rates.seconds, Seconds)));
  for (const ViewRate& view : rates.views) {
    line("view", fmt::format("{}: {} frames, {}, {} listeners", Clip(view.id, kNameCharsMax),
                             OrUnknown(view.frames_per_s, PerSecond), OrUnknown(view.bytes_per_s, BytesPerSecond),
                             Count(view.listeners)));
  }
  for (const api::Gap& gap : now.gaps())
    line("gap", fmt::format("{}: {}", GapSlots(gap.from(), gap.to()), Clip(gap.cause(), 200)));
  if (const auto told = static_cast<uint64_t>(now.gaps_size()); told < now.gaps_total())
    line("gap", "and " + Counted(now.gaps_total() - told, "older gap"));
  if (now.has_rewind()) {
    const api::Rewind& rewind = now.rewind();
    line("rewind", fmt::format("{}: to slot {} from {}, generation {}, at slot {} of {}{}",
                               Clip(rewind.state(), kNameCharsMax), rewind.requested_slot(),
                               Clip(rewind.checkpoint(), kNameCharsMax), rewind.generation(), rewind.slot(),
                               rewind.target_slot(), rewind.error().empty() ? "" : ": " + Clip(rewind.error(), 400)));
  }
  return out;
}

}  // namespace everstate::console
