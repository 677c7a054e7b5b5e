// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "config/model.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/instance_lock.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/status_view.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"
#include "tests/controlplane/ctl/made_up_api.h"
#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

namespace http = boost::beast::http;

class InADirectory : public testing::Test {
 protected:
  InADirectory() {
    char name[] = "/tmp/sluice-ctl-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~InADirectory() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

class Api : public MadeUpApi {
 public:
  explicit Api(const std::string& path) {
    router().add(http::verb::get, "/good",
                 [](const control::ApiRequest&) { return control::ApiResponse::json({{"a", 1}}); });
    router().add(http::verb::get, "/text", [](const control::ApiRequest&) {
      control::ApiResponse out;
      out.body = "not JSON";
      return out;
    });
    listen(path);
  }
};

using ClientTest = InADirectory;

TEST_F(ClientTest, ReadsAnAnswer) {
  const Api api(directory_ + "/control.sock");
  const auto answer = Client(directory_ + "/control.sock").get("/good");
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->at("a"), 1);
}

TEST_F(ClientTest, TellsFailuresApart) {
  const auto missing = Client(directory_ + "/control.sock").get("/good");
  EXPECT_EQ(missing.error().exit, Exit::kUnreachable);
  EXPECT_NE(missing.error().text.find("is sluice-control running?"), std::string::npos);
  EXPECT_EQ(Client("/" + std::string(200, 'x')).get("/good").error().exit, Exit::kUsage);
  const Api api(directory_ + "/control.sock");
  EXPECT_EQ(Client(directory_ + "/control.sock").get("/text").error().exit, Exit::kFailed);
  const auto unknown = Client(directory_ + "/control.sock").get("/unknown");
  EXPECT_EQ(unknown.error().exit, Exit::kUnknown);
  EXPECT_EQ(unknown.error().text, "there is nothing at /unknown");
}

TEST_F(ClientTest, GivesUpOnAControlThatAcceptsAndSaysNothing) {
  const std::string path = directory_ + "/control.sock";
  boost::asio::io_context io;
  boost::asio::local::stream_protocol::acceptor silent(io, path);
  const auto answer = Client(path).get("/good", std::chrono::milliseconds(50));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().exit, Exit::kUnreachable);
  EXPECT_NE(answer.error().text.find("timed out"), std::string::npos) << answer.error().text;
}

TEST_F(ClientTest, FindsTheOnlyInstance) {
  EXPECT_EQ(find_socket(directory_ + "/none").error().exit, Exit::kUnreachable);
  EXPECT_EQ(find_socket(directory_).error().exit, Exit::kUnreachable);
  std::filesystem::create_directories(directory_ + "/edge1");
  std::filesystem::create_directories(directory_ + "/edge2");
  const Api first(directory_ + "/edge1/control.sock");
  EXPECT_EQ(find_socket(directory_), directory_ + "/edge1/control.sock");
  const Api second(directory_ + "/edge2/control.sock");
  const auto two = find_socket(directory_);
  EXPECT_EQ(two.error().exit, Exit::kUsage);
  EXPECT_NE(two.error().text.find("edge1/control.sock, "), std::string::npos) << two.error().text;
}

using InstanceLock = InADirectory;

TEST_F(InstanceLock, AdmitsOneAtATimeAndNamesTheHolder) {
  const std::string directory = directory_ + "/run/edge1";
  {
    const auto first = control::claim_instance(directory);
    ASSERT_TRUE(first) << first.error();
    const auto second = control::claim_instance(directory);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().find("process " + std::to_string(getpid())), std::string::npos) << second.error();
  }
  EXPECT_TRUE(control::claim_instance(directory));
  struct stat info{};
  ASSERT_EQ(stat(directory.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755u);
  EXPECT_FALSE(control::claim_instance(directory + "/control.lock/below"));
}

TEST(TextTable, AlignsColumns) {
  TextTable table({"NAME", ">COUNT", "REASON"});
  table.add({"a", "1", ""});
  table.add({"longer", "12345", "why"});
  EXPECT_EQ(table.to_string(false),
            "NAME    COUNT  REASON\n"
            "a           1\n"
            "longer  12345  why\n");
}

TEST(TextTable, ColoursOnlyWhereAsked) {
  TextTable table({"STATE"});
  table.add({{"up", Colour::kGood}});
  EXPECT_EQ(table.to_string(false).find('\x1b'), std::string::npos);
  EXPECT_NE(table.to_string(true).find("\x1b[32mup\x1b[0m"), std::string::npos);
}

TEST(Printable, TakesControlCharactersOut) {
  EXPECT_EQ(printable("a\x1b[2Jb\n"), "a [2Jb ");
}

TEST(TimeBetween, IsShort) {
  const std::string start = "2026-12-01T08:00:00.500Z";
  EXPECT_EQ(time_between(start, "2026-12-01T08:00:42.000Z"), "42s");
  EXPECT_EQ(time_between(start, "2026-12-01T08:07:03.000Z"), "7m 3s");
  EXPECT_EQ(time_between(start, "2026-12-01T13:12:00.000Z"), "5h 12m");
  EXPECT_EQ(time_between(start, "2026-12-04T12:00:00.000Z"), "3d 4h");
  EXPECT_EQ(time_between(start, "2026-11-30T08:00:00.000Z"), "0s");
  EXPECT_EQ(time_between("never", start), "?");
}

class StatusView : public testing::Test {
 protected:
  StatusView() {
    config_.instance = "edge1";
    config_.pools = {{.name = "mta", .check = "relay", .min_healthy = 0, .backends = {}}};
    config::Backend backend;
    backend.name = "mta1";
    backend.address = ip("2001:db8::1");
    config_.pools[0].backends.push_back(backend);
    config::Service service;
    service.name = "relay";
    service.vip = ip("192.0.2.25");
    service.pool = "mta";
    config_.services.push_back(service);
  }
  nlohmann::json status() {
    boost::asio::io_context io;
    control::Journal journal;
    control::Model model(config_, journal);
    model.set_health(0, control::Health::kDown, "dead at connect\x1b[2J");
    model.refresh();
    const control::ChannelClient channel(io, "/nonexistent", {}, {});
    const control::DataplaneState dataplane;
    const control::ApiContext context{config_, model, channel, journal, dataplane, journal.now()};
    return nlohmann::json::parse(control::status_answer(context).whole().body);
  }
  config::Config config_;
};

TEST_F(StatusView, ShowsWhatTheApiSays) {
  const std::string text = view_of_status(status(), false);
  EXPECT_NE(text.find("instance edge1"), std::string::npos) << text;
  EXPECT_NE(text.find("NOT CONNECTED"), std::string::npos) << text;
  EXPECT_NE(text.find("[2001:db8::1]:25"), std::string::npos) << text;
  EXPECT_NE(text.find("dead at connect"), std::string::npos) << text;
  EXPECT_NE(text.find("out of service"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "a server's words must not steer the terminal";
}

TEST_F(StatusView, TellsThatAnotherNodeHasItsName) {
  nlohmann::json told = status();
  EXPECT_TRUE(told.at("fleet").is_null());
  const nlohmann::json rival{{"instance", "0"}, {"host", "rack7\x1b[2J"}};
  told["fleet"] = {{"node", "edge1"}, {"instance", "1"}, {"shown", false}, {"write_fault", ""}, {"rival", nullptr}};
  EXPECT_EQ(view_of_status(told, false).find("ANOTHER NODE"), std::string::npos);
  told["fleet"]["rival"] = rival;
  EXPECT_NE(view_of_status(told, false)
                .find("fleet: ANOTHER NODE is called edge1, too, at rack7 [2J; that one is what the others see\n"),
            std::string::npos);
}

TEST_F(StatusView, TellsThatEtcdTakesNothing) {
  nlohmann::json told = status();
  told["fleet"] = {{"node", "edge1"}, {"instance", "1"}, {"shown", true}, {"write_fault", ""}, {"rival", nullptr}};
  EXPECT_EQ(view_of_status(told, false).find("TAKES NOTHING"), std::string::npos);
  told["fleet"]["write_fault"] = "it is full\x1b[2J";
  EXPECT_NE(view_of_status(told, false).find("fleet: etcd TAKES NOTHING THAT IS WRITTEN: it is full [2J\n"),
            std::string::npos);
}

TEST_F(StatusView, RefusesAnotherForm) {
  EXPECT_THROW(view_of_status({{"version", "9"}}, false), nlohmann::json::exception);
  EXPECT_THROW(view_of_status(nlohmann::json::array(), false), nlohmann::json::exception);
}

}  // namespace
}  // namespace sluice::ctl
