#include "admin-gui/once.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace everstate::console {
namespace {

using testing::HasSubstr;
using testing::Not;

Probe HealthyProbe() {
  Probe probe;
  probe.info.emplace();
  probe.info->set_version("0.1.0");
  probe.info->set_stack_name("SplStream");
  probe.info->set_interface_version(kInterfaceVersion);
  for (api::Status* status : {&probe.first, &probe.second}) {
    const bool second = status == &probe.second;
    status->set_uptime_us(second ? 2000000 : 1000000);
    status->set_ready(true);
    status->mutable_stream()->set_state("live");
    status->mutable_stream()->set_newest_slot(102);
    status->mutable_store()->set_slot(100);
    status->mutable_store()->set_lag_slots(2);
    status->mutable_store()->set_generation(3);
    auto* stage = status->add_stages();
    stage->set_name("receive");
    stage->set_unit("updates");
    stage->set_units(second ? 150 : 50);
    auto* view = status->add_views();
    view->set_id("A/list");
    view->set_frames(second ? 30 : 10);
  }
  return probe;
}

TEST(Once, JsonSaysWhatIsKnownAndNullForTheRest) {
  const auto json = nlohmann::json::parse(OnceJson("here:1", HealthyProbe()));
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["state"], "live");
  EXPECT_EQ(json["lag_slots"], 2);
  EXPECT_TRUE(json["lag_seconds"].is_null());
  EXPECT_EQ(json["generation"], 3);
  EXPECT_EQ(json["updates_per_second"], 100.0);
  EXPECT_EQ(json["views"]["A/list"]["frames_per_second"], 20.0);
  EXPECT_TRUE(json["gaps"].empty());
  EXPECT_TRUE(json["rewind"].is_null());
}

TEST(Once, AnEmptyServerIsUnknownNotZero) {
  const Probe nothing;
  const auto json = nlohmann::json::parse(OnceJson("here:1", nothing));
  for (const char* key :
       {"state", "lag_slots", "slot", "newest_slot", "generation", "entities", "updates_per_second", "version"})
    EXPECT_TRUE(json[key].is_null()) << key;
  EXPECT_EQ(json["healthy"], false);
  EXPECT_THAT(OnceText("here:1", nothing), HasSubstr("lag — slots, —"));
}

TEST(Once, UnhealthyWhenNotReadyOrNotLive) {
  Probe probe = HealthyProbe();
  EXPECT_TRUE(Healthy(probe));
  probe.second.set_ready(false);
  EXPECT_FALSE(Healthy(probe));
  probe = HealthyProbe();
  probe.second.mutable_stream()->set_state("connecting");
  EXPECT_FALSE(Healthy(probe));
  EXPECT_THAT(OnceText("here:1", probe), HasSubstr("UNHEALTHY: stream connecting"));
}

TEST(Once, AnotherInterfaceIsNamed) {
  Probe probe = HealthyProbe();
  EXPECT_THAT(OnceText("here:1", probe), Not(HasSubstr("what both know")));
  probe.info->set_interface_version(9);
  EXPECT_THAT(OnceText("here:1", probe), HasSubstr("9, this console knows 1"));
  EXPECT_EQ(nlohmann::json::parse(OnceJson("here:1", probe))["interface_version_known"], false);
}

TEST(Once, LongNamesAndGapsAndRewinds) {
  Probe probe = HealthyProbe();
  probe.info->set_stack_name(std::string(5000, 's'));
  probe.second.mutable_views(0)->set_id(std::string(5000, 'v'));
  auto* gap = probe.second.add_gaps();
  gap->set_from(5);
  gap->set_to(7);
  gap->set_cause("forgotten");
  probe.second.set_gaps_total(301);
  auto* rewind = probe.second.mutable_rewind();
  rewind->set_state("failed");
  rewind->set_error("slots 5 to 7 are missing");
  const std::string text = OnceText("here:1", probe);
  EXPECT_LT(text.size(), 3000u);
  EXPECT_THAT(text, HasSubstr("slot 6: forgotten"));
  EXPECT_THAT(text, HasSubstr("and 300 older gaps"));
  EXPECT_THAT(text, HasSubstr("failed"));
  EXPECT_THAT(text, HasSubstr("slots 5 to 7 are missing"));
  const auto json = nlohmann::json::parse(OnceJson("here:1", probe));
  EXPECT_EQ(json["gaps"][0]["to"], 7);
  EXPECT_EQ(json["rewind"]["state"], "failed");
}

}  // namespace
}  // namespace everstate::console
