// SPDX-License-Identifier: Apache-2.0
//
// Commands that cut sessions, against an API that notes what it is asked for: what they foretell, and whom they ask.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "controlplane/ctl/commands/commands.h"
#include "tests/controlplane/ctl/made_up_api.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
namespace http = boost::beast::http;

class Consent : public testing::Test {
 protected:
  Consent() {
    char name[] = "/tmp/sluice-consent-XXXXXX";
    directory_ = mkdtemp(name);
    for (const char* path : {"/api/v1/by-hand", "/api/v1/reload", "/api/v1/diff"}) {
      api_.router().add(http::verb::post, path, [this](const control::ApiRequest& request) { return answer(request); });
    }
    api_.listen(path("control.sock"));
  }
  ~Consent() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }

  /// How the command ends. `agree`: what is answered to its question; nothing: nobody is there.
  Outcome run(const Command& command, Invocation::Values values, std::optional<bool> agree) {
    asked_.clear();
    questions_.clear();
    out_.str("");
    Invocation invocation(out_, [this] { return path("control.sock"); }, std::move(values));
    if (agree) {
      invocation.ask = [this, agree](const std::string& question) {
        questions_.push_back(question);
        return *agree;
      };
    }
    return command.run(invocation);
  }
  Outcome disable_pool(Invocation::Values more, std::optional<bool> agree) {
    more.insert({{"POOL", {"mta"}}, {"ACTION", {"disable"}}});
    return run(pool_command(), std::move(more), agree);
  }

  std::vector<std::string> asked_;  // "/api/v1/by-hand disable", with " (dry run)"
  std::vector<std::string> questions_;
  std::string text_;  // of the last diff
  json flows_ = 7;    // open ones, of all that anybody asks about
  std::optional<http::status> diff_fails_;
  std::ostringstream out_;

 private:
  control::ApiResponse answer(const control::ApiRequest& request) {
    const json body = json::parse(request.body);
    std::string what = request.path;
    if (body.contains("action")) what += " " + body["action"].get<std::string>();
    if (body.value("dry_run", false)) what += " (dry run)";
    asked_.push_back(what);
    text_ = body.value("text", std::string());
    if (request.path == "/api/v1/by-hand")
      return control::ApiResponse::json({{"backends", {"mta/mta1"}}, {"warning", ""}, {"flows_now", flows_}});
    if (diff_fails_ && request.path == "/api/v1/diff") return control::ApiResponse::error(*diff_fails_, "no diff");
    json cuts = json::array();
    if (flows_ != 0) cuts.push_back({{"what", "backend mta/mta1:25"}, {"flows", flows_.is_null() ? json(0) : flows_}});
    return control::ApiResponse::json({{"empty", false},
                                       {"changes", json::array()},
                                       {"shares", json::array()},
                                       {"cuts", cuts},
                                       {"flows_cut", flows_},
                                       {"drains", json::array()},
                                       {"flows_draining", 0},
                                       {"moves", json::array()},
                                       {"dataplane_restart", json::array()},
                                       {"control_restart", json::array()},
                                       {"warnings", {"as control calls the lines"}}});
  }

  std::string directory_;
  MadeUpApi api_;
};

TEST_F(Consent, ForetellsWhatADisabledPoolCosts) {
  ASSERT_TRUE(disable_pool({{"dry-run", {}}}, true));
  EXPECT_EQ(out_.str(), "would disable: mta/mta1; cuts 7 open sessions\n");
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/by-hand disable (dry run)"});
  EXPECT_TRUE(questions_.empty());
  flows_ = nullptr;
  ASSERT_TRUE(disable_pool({{"dry-run", {}}}, true));
  EXPECT_EQ(out_.str(), "would disable: mta/mta1; cuts open sessions (not counted while the data plane is away)\n");
}

TEST_F(Consent, AsksBeforeAPoolIsDisabled) {
  const Outcome refused = disable_pool({}, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "nothing was changed");
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/by-hand disable (dry run)"});
  EXPECT_EQ(questions_, std::vector<std::string>{"disabling mta/mta1 cuts 7 open sessions. Go on?"});
  ASSERT_TRUE(disable_pool({}, true));
  EXPECT_EQ(asked_, (std::vector<std::string>{"/api/v1/by-hand disable (dry run)", "/api/v1/by-hand disable"}));
}

TEST_F(Consent, AsksNobodyWhereThereIsNobodyOrNothingIsCutOrItIsToldNotTo) {
  const std::vector<std::string> done{"/api/v1/by-hand disable"};
  ASSERT_TRUE(disable_pool({}, std::nullopt));
  EXPECT_EQ(asked_, done);
  ASSERT_TRUE(disable_pool({{"yes", {}}}, false));
  EXPECT_EQ(asked_, done);
  flows_ = 0;
  ASSERT_TRUE(disable_pool({}, false));
  EXPECT_TRUE(questions_.empty());
}

TEST_F(Consent, AsksAlwaysWhereOtherNodesCutToo) {
  flows_ = 0;
  EXPECT_FALSE(disable_pool({{"fleet", {}}}, false));
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/by-hand disable (dry run)"});
  EXPECT_EQ(questions_,
            std::vector<std::string>{
                "disabling mta/mta1 on all nodes cuts 0 open sessions on this node, more on others. Go on?"});
  ASSERT_TRUE(disable_pool({{"fleet", {}}, {"dry-run", {}}}, true));
  EXPECT_EQ(out_.str(), "would disable: mta/mta1, on all nodes; cuts 0 open sessions on this node, more on others\n");
}

TEST_F(Consent, AsksBeforeADrainThatIsTooShortForSessionsToHearOfIt) {
  const auto drain = [&](const char* deadline, Invocation::Values more = {}) {
    more.insert({{"BACKEND", {"mta1"}}, {"deadline", {deadline}}});
    return run(drain_command(), std::move(more), false);
  };
  for (const char* hasty : {"0", "59s"}) EXPECT_FALSE(drain(hasty)) << hasty;
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/by-hand drain (dry run)"});
  EXPECT_EQ(questions_, std::vector<std::string>{"draining mta/mta1 within 59 s cuts 7 open sessions. Go on?"});
  ASSERT_TRUE(drain("5s", {{"dry-run", {}}}));
  EXPECT_EQ(out_.str(), "would drain: mta/mta1; cuts 7 open sessions\n");
  ASSERT_TRUE(drain("5s", {{"yes", {}}}));
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/by-hand drain"});
  ASSERT_TRUE(drain("60s")) << "as long as leaving takes";
  ASSERT_TRUE(drain("60s", {{"dry-run", {}}}));
  EXPECT_EQ(out_.str(), "would drain: mta/mta1; 7 sessions are open there\n");
}

TEST_F(Consent, AReloadGoesOnUnaskedOnlyWhereTheFileIsRefusedAnyway) {
  diff_fails_ = http::status::unprocessable_entity;
  ASSERT_TRUE(run(reload_command(), {}, false));
  EXPECT_EQ(asked_, (std::vector<std::string>{"/api/v1/diff", "/api/v1/reload"}));
  diff_fails_ = http::status::internal_server_error;
  const Outcome unknown = run(reload_command(), {}, true);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().text, "what the reload would cut is not known: no diff; --yes goes on all the same");
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/diff"});
  ASSERT_TRUE(run(reload_command(), {{"yes", {}}}, true));
}

TEST_F(Consent, AsksBeforeAReloadCutsSessions) {
  EXPECT_FALSE(run(reload_command(), {}, false));
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/diff"});
  EXPECT_EQ(questions_, std::vector<std::string>{"the reload cuts 7 open sessions. Go on?"});
  EXPECT_NE(out_.str().find("Open flows that are cut: 7"), std::string::npos) << out_.str();
  ASSERT_TRUE(run(reload_command(), {}, true));
  EXPECT_EQ(asked_, (std::vector<std::string>{"/api/v1/diff", "/api/v1/reload"}));
  ASSERT_TRUE(run(reload_command(), {{"yes", {}}}, false));
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/reload"});
  ASSERT_TRUE(run(reload_command(), {{"dry-run", {}}}, std::nullopt));
  EXPECT_EQ(asked_, std::vector<std::string>{"/api/v1/diff"});
  flows_ = 0;
  ASSERT_TRUE(run(reload_command(), {}, false)) << "nothing is cut";
  EXPECT_TRUE(questions_.empty());
}

TEST_F(Consent, HandsControlTheTextOfAnotherFileWithWhatItIncludes) {
  write("mta1.inc", "{ name = \"mta1\"; address = \"10.0.1.1\"; }\n");
  write("next.cfg", R"(dataplane: { ports = ( { name = "w"; device = "net_null0"; } ); };
pools = ( { name = "mta"; backends = (
@include "mta1.inc"
); } );
services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );
)");
  ASSERT_TRUE(run(diff_command(), {{"FILE", {path("next.cfg")}}}, std::nullopt));
  EXPECT_NE(text_.find("10.0.1.1"), std::string::npos) << text_;
  EXPECT_EQ(text_.find("@include"), std::string::npos) << text_;
  EXPECT_EQ(out_.str().find("as control calls the lines"), std::string::npos) << out_.str();
}

TEST_F(Consent, TellsWhatIsWrongWithAnotherFileByItsOwnLines) {
  write("next.cfg", "pools = ();\n@include \"nowhere.inc\"\n");
  const Outcome refused = run(diff_command(), {{"FILE", {path("next.cfg")}}}, std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().exit, Exit::kFailed);
  EXPECT_NE(refused.error().text.find(path("next.cfg") + ":2: @include \"nowhere.inc\""), std::string::npos)
      << refused.error().text;
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace sluice::ctl
