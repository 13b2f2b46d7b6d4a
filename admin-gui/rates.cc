#include "admin-gui/rates.h"

#include <unordered_map>

namespace everstate::console {
namespace {

struct Span {
  std::optional<double> seconds;

  std::optional<double> Rate(bool known, uint64_t before, uint64_t after) const {
    if (!seconds || !known || after < before) return std::nullopt;
    return static_cast<double>(after - before) / *seconds;
  }
};

template <typename Item, typename Name>
std::unordered_map<std::string, const Item*> ByName(const google::protobuf::RepeatedPtrField<Item>* items, Name name) {
  std::unordered_map<std::string, const Item*> found;
  if (items) {
    for (const Item& item : *items) found.emplace((item.*name)(), &item);
  }
  return found;
}

}  // namespace

Rates RatesBetween(const admin::v1::Status* older, const admin::v1::Status& newer) {
  using admin::v1::Stage;
  using admin::v1::ViewTraffic;
  Span span;
  if (older && older->uptime_us() < newer.uptime_us())
    span.seconds = static_cast<double>(newer.uptime_us() - older->uptime_us()) / 1e6;
  if (!span.seconds) older = nullptr;

  Rates rates;
  rates.seconds = span.seconds;
  if (older && older->has_stream() && newer.has_stream()) {
    const auto &before = older->stream(), &after = newer.stream();
    rates.messages_per_s = span.Rate(true, before.messages(), after.messages());
    rates.bytes_per_s = span.Rate(true, before.bytes(), after.bytes());
    rates.blocks_per_s = span.Rate(true, before.blocks_settled(), after.blocks_settled());
  }

  const auto stages_before = ByName<Stage>(older ? &older->stages() : nullptr, &Stage::name);
  for (const Stage& after : newer.stages()) {
    StageRate rate{.name = after.name(), .unit = after.unit(), .per_s = {}, .busy = {}, .us_per_unit = {}};
    if (const auto found = stages_before.find(after.name()); found != stages_before.end()) {
      const Stage& before = *found->second;
      rate.per_s = span.Rate(true, before.units(), after.units());
      const bool measured = before.has_busy_us() && after.has_busy_us();
      if (const auto busy_us_per_s = span.Rate(measured, before.busy_us(), after.busy_us())) {
        rate.busy = *busy_us_per_s / 1e6;
        if (rate.per_s && *rate.per_s > 0) rate.us_per_unit = *busy_us_per_s / *rate.per_s;
      }
    }
    if (after.unit() == "updates" && !rates.updates_per_s) rates.updates_per_s = rate.per_s;
    rates.stages.push_back(std::move(rate));
  }

  const auto views_before = ByName<ViewTraffic>(older ? &older->views() : nullptr, &ViewTraffic::id);
  for (const ViewTraffic& after : newer.views()) {
    ViewRate rate{.id = after.id(),
                  .frames = after.frames(),
                  .bytes = after.bytes(),
                  .listeners = after.listeners(),
                  .frames_per_s = {},
                  .bytes_per_s = {}};
    if (const auto found = views_before.find(after.id()); found != views_before.end()) {
      rate.frames_per_s = span.Rate(true, found->second->frames(), after.frames());
      rate.bytes_per_s = span.Rate(true, found->second->bytes(), after.bytes());
    }
    rates.views.push_back(std::move(rate));
  }
  return rates;
}

}  // namespace everstate::console
