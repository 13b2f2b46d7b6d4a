#include "server/settings_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/settings_file.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// A folder with a configuration file and a token file.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("settings_test_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
    std::ofstream(token_file()) << "hunter2\n";
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file() const { return (path_ / "everstate.toml").string(); }
  std::string token_file() const { return (path_ / "token").string(); }
  std::string Write(const std::string& text) const {
    std::ofstream(file()) << text;
    return file();
  }

 private:
  const fs::path path_;
};

const SettingValue& ValueOf(const ResolvedConfig& resolved, std::string_view name) {
  return *std::ranges::find_if(resolved.values, [name](const SettingValue& v) { return v.setting->name == name; });
}

std::string Refusal(const SettingSources& sources) {
  const auto resolved = ResolveConfig(sources);
  return resolved.ok() ? "" : std::string(resolved.status().message());
}

std::string RefusedFile(const std::string& text) {
  const Folder folder;
  return Refusal({.flags = {}, .environment = {}, .file = folder.Write(text)});
}

// Values that the setting takes, others than its default where it has any.
std::vector<std::string> ValidTexts(const Setting& setting, const std::string& token_file) {
  if (setting.name == "x_token_file") return {token_file};
  std::vector<std::string> texts;
  for (const char* text : {"7",
                           "64",
                           "99",
                           "3MiB",
                           "48MiB",
                           "1234567",
                           "17s",
                           "6h",
                           "1500ms",
                           "true",
                           "false",
                           "json",
                           "debug",
                           "off",
                           "finalized",
                           "ingest=debug",
                           "fanout=off,ingest=trace",
                           "127.0.0.1:9",
                           "http://127.0.0.1:9",
                           "https://x.example",
                           "a \"quoted\" \\ text # and more"}) {
    Config config;
    config.rewind.emplace();
    if (setting.parse(text, &config).ok() && setting.format(config) != setting.format(Config()))
      texts.emplace_back(text);
  }
  return texts;
}

TEST(SettingSourcesTest, EverySettingHasAValueToTest) {
  for (const Setting& setting : Settings()) EXPECT_FALSE(ValidTexts(setting, "/dev/null").empty()) << setting.name;
}

// Any subset of sources says any subset of settings: the strongest source holds, whatever the others say.
RC_GTEST_PROP(SettingSourcesProperty, FlagBeforeEnvironmentBeforeFileBeforeDefault, ()) {
  const Folder folder;
  SettingSources sources;
  std::string file;
  std::map<std::string_view, std::pair<Origin, std::string>> expected;
  for (const Setting& setting : Settings()) {
    if (setting.name == "x_token_file") continue;        // excludes x_token
    if (setting.name == "snapshot.frame_max") continue;  // bounds sessions.queue_max
    const std::vector<std::string> texts = ValidTexts(setting, folder.token_file());
    // Two of the settings say nothing without this one.
    const bool always = setting.name == "resume_from";
    if (const bool said = always || *rc::gen::weightedElement<bool>({{2, false}, {1, true}}); said) {
      const std::string text = *rc::gen::elementOf(texts);
      file += absl::StrCat(std::string(setting.name), " = ", TomlValue(setting, text), "\n");
      expected[setting.name] = {Origin::kFile, text};
    }
    if (*rc::gen::weightedElement<bool>({{2, false}, {1, true}})) {
      const std::string text = *rc::gen::elementOf(texts);
      const bool second_name = !setting.also.empty() && !setting.also.starts_with("--") && *rc::gen::arbitrary<bool>();
      sources.environment.push_back(
          absl::StrCat(second_name ? std::string(setting.also) : setting.Variable(), "=", text));
      expected[setting.name] = {Origin::kEnvironment, text};
    }
    if (*rc::gen::weightedElement<bool>({{2, false}, {1, true}})) {
      const std::string text = *rc::gen::elementOf(texts);
      sources.flags.emplace_back(&setting, text);
      expected[setting.name] = {Origin::kFlag, text};
    }
  }
  sources.file = folder.Write(file);
  const auto resolved = ResolveConfig(sources);
  if (!resolved.ok()) RC_FAIL(std::string(resolved.status().message()));

  Config config;
  for (const SettingValue& value : resolved->values) {
    const auto said = expected.find(value.setting->name);
    RC_ASSERT(value.origin == (said == expected.end() ? Origin::kDefault : said->second.first));
    if (said != expected.end()) RC_ASSERT(value.setting->parse(said->second.second, &config).ok());
  }
  for (const Setting& setting : Settings()) RC_ASSERT(setting.format(resolved->config) == setting.format(config));

  // And what is printed, fed back, says the same again, but for the secret.
  const auto again = ResolveConfig({.flags = {}, .environment = {}, .file = folder.Write(PrintConfig(*resolved))});
  if (!again.ok()) RC_FAIL(std::string(again.status().message()));
  for (const Setting& setting : Settings()) {
    RC_ASSERT(setting.format(again->config) == (setting.secret ? "" : setting.format(config)));
  }
}

TEST(SettingSourcesTest, EachSettingIsReadFromEachSource) {
  const Folder folder;
  const Setting* resume_from = FindSetting("resume_from");
  for (const Setting& setting : Settings()) {
    for (const std::string& text : ValidTexts(setting, folder.token_file())) {
      SettingSources flag{.flags = {{resume_from, "7"}}, .environment = {}, .file = ""}, environment = flag,
                                                                                         file = flag;
      if (setting.name == "snapshot.frame_max") {
        for (SettingSources* sources : {&flag, &environment, &file})
          sources->flags.emplace_back(FindSetting("sessions.queue_max"), "1GiB");
      }
      flag.flags.emplace_back(&setting, text);
      environment.environment = {absl::StrCat(setting.Variable(), "=", text)};
      file.file =
          folder.Write(absl::StrCat("# a file\n", std::string(setting.name), " = ", TomlValue(setting, text), "\n"));
      Config expected;
      expected.rewind.emplace().slot = 7;
      ASSERT_TRUE(setting.parse(text, &expected).ok()) << setting.name;
      for (const auto& [sources, where] :
           {std::pair(&flag, setting.Flag()), {&environment, setting.Variable()}, {&file, folder.file() + ":2"}}) {
        const auto resolved = ResolveConfig(*sources);
        ASSERT_TRUE(resolved.ok()) << resolved.status();
        if (setting.name == "resume_from") continue;  // said by a flag in all of them
        EXPECT_EQ(setting.format(resolved->config), setting.format(expected)) << where;
        EXPECT_EQ(ValueOf(*resolved, setting.name).where, where);
      }
    }
  }
}

TEST(SettingSourcesTest, AllThatIsWrongIsSaidAtOnceInOrder) {
  EXPECT_THAT(RefusedFile("zzz = 1\n[archive]\nkeep = true\n[inbox]\nblocks = 1\n"),
              testing::MatchesRegex(".*:1: zzz is no setting[^\n]*\n.*:3: archive.keep is a boolean[^\n]*\n.*:5: "
                                    "inbox.blocks is no setting[^\n]*"));
  const Folder folder;
  EXPECT_THAT(
      Refusal({.flags = {{FindSetting("archive.keep"), "8GB"}},
               .environment = {"EVERSTATE_FROM_SLOT=x"},
               .file = folder.Write("a = 1")}),
      testing::MatchesRegex(
          ".*a is no setting.*\nEVERSTATE_FROM_SLOT \"x\" is no whole number\n--archive-keep \"8GB\" has no unit.*"));
}

TEST(SettingSourcesTest, AWrongValueNamesWhereItWasSaid) {
  EXPECT_THAT(RefusedFile("[checkpoint]\nevery = '10'\n"),
              HasSubstr("everstate.toml:2: checkpoint.every \"10\" has no unit"));
  EXPECT_EQ(Refusal({.flags = {}, .environment = {"EVERSTATE_CHECKPOINT_KEEP=0"}, .file = ""}),
            "EVERSTATE_CHECKPOINT_KEEP \"0\" does not lie between 1 and 100000");
  EXPECT_THAT(Refusal({.flags = {{FindSetting("commitment"), "processed"}}, .environment = {}, .file = ""}),
              HasSubstr("--commitment \"processed\" is not supported"));
  EXPECT_THAT(Refusal({.flags = {{FindSetting("again"), "true"}}, .environment = {}, .file = ""}),
              HasSubstr("--again says nothing without resume_from"));
}

TEST(SettingSourcesTest, AFileThatIsNoneOrNoToml) {
  EXPECT_THAT(Refusal({.flags = {}, .environment = {}, .file = "/no/such.toml"}),
              HasSubstr("/no/such.toml: cannot be read: No such file"));
  EXPECT_THAT(Refusal({.flags = {}, .environment = {}, .file = "/"}), HasSubstr("/: cannot be read: "));
  EXPECT_THAT(Refusal({.flags = {}, .environment = {"EVERSTATE_CONFIG=/no/such.toml"}, .file = ""}),
              HasSubstr("/no/such.toml: "));
  EXPECT_THAT(RefusedFile("listen = \n"), HasSubstr("everstate.toml:1: this is no TOML: "));
  EXPECT_THAT(RefusedFile("listen = 'a'\nlisten = 'b'\n"), HasSubstr("everstate.toml:2: this is no TOML: "));
  EXPECT_THAT(RefusedFile(std::string("\xff\xfe\n")), HasSubstr("this is no TOML"));
  EXPECT_EQ(RefusedFile(""), "");
}

TEST(SettingSourcesTest, AnUnknownVariableIsRefusedWithTheNearest) {
  EXPECT_EQ(Refusal({.flags = {}, .environment = {"EVERSTATE_LISEN=x"}, .file = ""}),
            "EVERSTATE_LISEN is no setting's variable; the nearest is EVERSTATE_LISTEN");
  EXPECT_EQ(Refusal({.flags = {}, .environment = {"EVERSTATE_CONFG=x"}, .file = ""}),
            "EVERSTATE_CONFG is no setting's variable; the nearest is EVERSTATE_CONFIG");
  // Others than the settings', those of a container platform, and what is set to nothing.
  EXPECT_EQ(Refusal({.flags = {},
                     .environment = {"EVERSTATE=/bin/everstate", "PATH=/bin", "EVERSTATE_SERVICE_HOST=10.0.0.1",
                                     "EVERSTATE_SERVICE_PORT_HTTP=8877", "EVERSTATE_PORT=tcp://10.0.0.1:8877",
                                     "EVERSTATE_PORT_8877_TCP_ADDR=10.0.0.1", "EVERSTATE_LISTEN=", "EVERSTATE_LISEN="},
                     .file = ""}),
            "");
}

TEST(SettingSourcesTest, AFlagNamesAnotherFileThanTheEnvironment) {
  const Folder folder;
  const auto resolved = ResolveConfig(
      {.flags = {}, .environment = {"EVERSTATE_CONFIG=/no/such.toml"}, .file = folder.Write("listen = '[::1]:1'\n")});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->config.listen, "[::1]:1");
}

TEST(SettingSourcesTest, ASettingsOwnVariableComesBeforeItsSecondName) {
  for (const std::vector<std::string>& environment :
       {std::vector<std::string>{"EVERSTATE_ENDPOINT=http://own", "YELLOWSTONE_ENDPOINT=http://second"},
        {"YELLOWSTONE_ENDPOINT=http://second", "EVERSTATE_ENDPOINT=http://own"}}) {
    EXPECT_EQ(ResolveConfig({.flags = {}, .environment = environment, .file = ""})->config.endpoint, "http://own");
  }
  EXPECT_EQ(ResolveConfig({.flags = {}, .environment = {"YELLOWSTONE_X_TOKEN=hunter2"}, .file = ""})->config.x_token,
            "hunter2");
}

TEST(SettingSourcesTest, TheTokenIsSaidOnceByTheStrongestSource) {
  const Folder folder;
  const Setting* token_file = FindSetting("x_token_file");
  const auto both = ResolveConfig(
      {.flags = {{token_file, folder.token_file()}}, .environment = {"YELLOWSTONE_X_TOKEN=other"}, .file = ""});
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->config.x_token, "hunter2");
  EXPECT_EQ(ValueOf(*both, "x_token").origin, Origin::kDefault);
  const auto token = ResolveConfig(
      {.flags = {}, .environment = {"EVERSTATE_X_TOKEN=other"}, .file = folder.Write("x_token_file = '/no/such'\n")});
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->config.x_token, "other");
  EXPECT_EQ(token->config.x_token_file, "");
  EXPECT_EQ(Refusal({.flags = {{token_file, folder.token_file()}, {FindSetting("x_token"), "other"}},
                     .environment = {},
                     .file = ""}),
            "--x-token and --x-token-file exclude each other: both say the token");
}

TEST(SettingSourcesTest, RequiredSettingsMayBeMissingUntilTheyMustBeSaid) {
  EXPECT_TRUE(ResolveConfig({}).ok());
  const std::string said(ResolveConfig({}, Required::kMustBeSaid).status().message());
  EXPECT_THAT(said,
              HasSubstr("stack is not set: say --stack FILE, EVERSTATE_STACK, or stack in the file of --config\n"));
  EXPECT_THAT(said, HasSubstr("endpoint is not set: "));
  EXPECT_TRUE(
      ResolveConfig({.flags = {}, .environment = {"EVERSTATE_STACK=x", "EVERSTATE_ENDPOINT=http://x"}, .file = ""},
                    Required::kMustBeSaid)
          .ok());
}

// What is wrong of every kind is said in one round, each thing once: what follows from a fault is no second one.
TEST(SettingSourcesTest, FaultsOfEveryKindAreSaidInOneRound) {
  const Folder folder;
  const auto refused = ResolveConfig(
      {.flags = {{FindSetting("listen"), "31063"},
                 {FindSetting("again"), "true"},
                 {FindSetting("resume_from"), "soon"}},
       .environment = {"EVERSTATE_LISEN=x", "EVERSTATE_ADMIN=off:1", "EVERSTATE_X_TOKEN=t\xc3\xb6k\xc3\xa9n"},
       .file = folder.Write("zzz = 1\nstack = 5\n[archive]\nkeep = '8GB'\n[health]\nlisten = 'localhost:1'\n"
                            "[sessions]\nqueue_max = '1MiB'\n[snapshot]\nframe_max = '2MiB'\n")},
      Required::kMustBeSaid);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(
      std::vector<std::string>(absl::StrSplit(refused.status().message(), '\n')),
      testing::ElementsAre(
          "EVERSTATE_LISEN is no setting's variable; the nearest is EVERSTATE_LISTEN",
          testing::EndsWith("everstate.toml:1: zzz is no setting; the nearest is data"),
          testing::EndsWith("everstate.toml:2: stack is an integer, not a string"),
          testing::AllOf(HasSubstr("EVERSTATE_X_TOKEN holds characters that a header cannot carry"),
                         Not(HasSubstr("t\xc3"))),
          testing::StartsWith("--listen \"31063\" is no address and port: an address is written 127.0.0.1:8877"),
          testing::AllOf(testing::StartsWith("EVERSTATE_ADMIN \"off:1\" has no IP address: "),
                         testing::EndsWith("; off = none")),
          "--resume-from \"soon\" is no whole number", HasSubstr("everstate.toml:4: archive.keep \"8GB\" has no unit"),
          HasSubstr("everstate.toml:6: health.listen \"localhost:1\" has no IP address"),
          testing::MatchesRegex(
              "sessions.queue_max \\(1MiB, .*everstate.toml:8\\) is less than two frames of a snapshot "
              "\\(snapshot.frame_max is 2MiB, .*everstate.toml:10\\).*"),
          testing::StartsWith("endpoint is not set: ")));
}

// What a file says that cannot be read is not known: nothing is said to be missing for it.
TEST(SettingSourcesTest, AFileThatIsNoTomlIsTheOneFault) {
  const Folder folder;
  const auto refused = ResolveConfig(
      {.flags = {{FindSetting("snapshot.frame_max"), "6MiB"}}, .environment = {}, .file = folder.Write("stack = \n")},
      Required::kMustBeSaid);
  EXPECT_THAT(std::string(refused.status().message()),
              testing::MatchesRegex("[^\n]*everstate.toml:1: this is no TOML[^\n]*"));
}

TEST(SettingSourcesTest, AnAddressIsAnIpAddressAndAPort) {
  for (const char* name : {"listen", "admin", "health.listen"}) {
    for (const char* good : {"127.0.0.1:0", "[::]:8877", "0.0.0.0:65535"}) {
      EXPECT_EQ(Refusal({.flags = {{FindSetting(name), good}}, .environment = {}, .file = ""}), "") << good;
    }
    for (const char* bad : {"", "31063", ":31063", "localhost:31063", "0.0.0.0", "off:1", "::1:1", "127.0.0.1:65536"}) {
      EXPECT_THAT(Refusal({.flags = {{FindSetting(name), bad}}, .environment = {}, .file = ""}),
                  testing::StartsWith(absl::StrCat(FindSetting(name)->Flag(), " \"", bad, "\" ")));
    }
  }
  EXPECT_NE(Refusal({.flags = {{FindSetting("listen"), "off"}}, .environment = {}, .file = ""}), "");
  EXPECT_EQ(Refusal({.flags = {{FindSetting("admin"), "off"}}, .environment = {}, .file = ""}), "");
}

TEST(SettingSourcesTest, AQueueHasRoomForTwoFramesOfASnapshot) {
  const auto refusal = [](const std::string& queue, const std::string& frame) {
    return Refusal({.flags = {{FindSetting("sessions.queue_max"), queue}},
                    .environment = {"EVERSTATE_SNAPSHOT_FRAME_MAX=" + frame},
                    .file = ""});
  };
  EXPECT_EQ(refusal("1MiB", "512KiB"), "");
  EXPECT_THAT(refusal("1023KiB", "512KiB"),
              HasSubstr("sessions.queue_max (1023KiB, flag --sessions-queue-max) is less than two frames of a snapshot "
                        "(snapshot.frame_max is 512KiB, environment EVERSTATE_SNAPSHOT_FRAME_MAX)"));
  EXPECT_THAT(refusal("8MiB", "5MiB"), HasSubstr("sessions.queue_max (8MiB, "));
  EXPECT_THAT(refusal("much", "5MiB"), Not(HasSubstr("two frames"))) << "nobody knows";
}

TEST(PrintConfigTest, HasEverySettingWithValueAndOrigin) {
  const Folder folder;
  const auto resolved = ResolveConfig({.flags = {{FindSetting("archive.keep"), "8192MiB"}},
                                       .environment = {"EVERSTATE_PROGRESS=1"},
                                       .file = folder.Write("[log.levels]\ningest = 'debug'\n")});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const std::string printed = PrintConfig(*resolved);
  EXPECT_THAT(printed, testing::ContainsRegex("\\[archive\\]\nkeep = [\"']8GiB[\"'] +# flag --archive-keep\n"));
  EXPECT_THAT(printed, testing::ContainsRegex("progress = true +# environment EVERSTATE_PROGRESS\n"));
  EXPECT_THAT(printed, testing::ContainsRegex("levels = \\{ ingest = [\"']debug[\"'] \\} +# [^\n]*everstate.toml:1\n"));
  EXPECT_THAT(printed, testing::ContainsRegex("listen = [\"']\\[::\\]:8877[\"'] +# default\n"));
  EXPECT_THAT(printed, testing::ContainsRegex("# data is not set +# default\n"));
  for (const Setting& setting : Settings()) {
    const std::string key(setting.name.substr(setting.name.find('.') + 1));
    EXPECT_THAT(printed, testing::ContainsRegex(absl::StrCat("(^|\n)(# )?", key, " (=|is)"))) << setting.name;
  }
}

TEST(PrintConfigTest, ShowsThatASecretIsSetAndNeverTheSecret) {
  const Folder folder;
  for (const SettingSources& sources :
       {SettingSources{.flags = {{FindSetting("x_token"), "hunter2"}}, .environment = {}, .file = ""},
        SettingSources{.flags = {}, .environment = {"EVERSTATE_X_TOKEN=hunter2"}, .file = ""},
        SettingSources{.flags = {}, .environment = {}, .file = folder.Write("x_token = 'hunter2'\n")}}) {
    const auto resolved = ResolveConfig(sources);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->config.x_token, "hunter2");
    EXPECT_THAT(PrintConfig(*resolved), HasSubstr("# x_token = \"(set)\""));
    EXPECT_THAT(PrintConfig(*resolved), Not(HasSubstr("hunter2")));
  }
  const auto from_file =
      ResolveConfig({.flags = {{FindSetting("x_token_file"), folder.token_file()}}, .environment = {}, .file = ""});
  EXPECT_THAT(PrintConfig(*from_file), Not(HasSubstr("hunter2")));
  EXPECT_THAT(PrintConfig(*from_file), HasSubstr("# x_token is not set"));
}

// Whatever is wrong around a secret, it is not repeated.
TEST(SettingSourcesTest, NoErrorHoldsASecret) {
  for (const char* text :
       {"x_token = truehunter2\n", "x_token = hunter2\n", "x_token = 'hunter2\n", "x_token = \"hunter2\n",
        "x_token = ['hunter2']\n", "x_token = { hunter2 = 'hunter2' }\n", "x_token = 2hunter2\n",
        "x_token = 'a'\nx_token = 'hunter2'\n", "x_token 'hunter2'\n", "x_token = 'hunter2' hunter2\n"}) {
    const std::string said = RefusedFile(text);
    EXPECT_NE(said, "") << text;
    EXPECT_THAT(said, Not(HasSubstr("hunter"))) << text;
  }
  EXPECT_EQ(Refusal({.flags = {{FindSetting("x_token"), ""}}, .environment = {}, .file = ""}),
            "--x-token \"\" is empty");
}

}  // namespace
}  // namespace everstate
