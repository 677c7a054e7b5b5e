// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice::control {
namespace {

namespace http = boost::beast::http;

const std::string kSecret = "0123456789abcdef0123";

TEST(AccessRules, LetThisHostReadAndNobodyWriteWithoutAToken) {
  const AccessRules rules;
  const auto here = rules.judge({.host = "127.0.0.1:9125", .from_here = true});
  ASSERT_TRUE(here);
  EXPECT_TRUE(here->may_read);
  EXPECT_FALSE(here->may_write);
  const auto elsewhere = rules.judge({.host = "192.0.2.1:9125", .from_here = false});
  ASSERT_TRUE(elsewhere);
  EXPECT_FALSE(elsewhere->may_read);
  EXPECT_FALSE(elsewhere->may_write);
}

TEST(AccessRules, TakeTheTokenAlone) {
  const AccessRules rules({}, {.change = Token(kSecret), .read = std::nullopt});
  for (const std::string scheme : {"Bearer ", "bearer ", "BEARER   "}) {
    const std::string header = scheme + kSecret;
    const auto granted = rules.judge({.host = "localhost", .authorization = header});
    ASSERT_TRUE(granted) << scheme;
    EXPECT_TRUE(granted->may_read && granted->may_write);
  }
  for (const std::string& header :
       {std::string("Bearer "), "Bearer " + kSecret + "4", "Bearer " + kSecret.substr(1), "Basic " + kSecret, kSecret,
        std::string("Bearer"), "Bearer" + kSecret, "Bearer " + std::string(10000, 'x')}) {
    const auto granted = rules.judge({.host = "localhost", .authorization = header, .from_here = true});
    ASSERT_FALSE(granted) << header;
    EXPECT_EQ(granted.error().status, http::status::unauthorized);
  }
  EXPECT_FALSE(AccessRules().judge({.authorization = "Bearer " + kSecret, .from_here = true}))
      << "without a token file no token is right";
}

TEST(AccessRules, TellReadersFromThoseWhoMayChange) {
  const std::string reading = "fedcba9876543210fedc";
  const AccessRules rules({}, {.change = Token(kSecret), .read = Token(reading)});
  const auto reader = rules.judge({.host = "localhost", .authorization = "Bearer " + reading});
  ASSERT_TRUE(reader);
  EXPECT_TRUE(reader->may_read);
  EXPECT_FALSE(reader->may_write);
  const auto both = rules.judge({.host = "localhost", .authorization = "Bearer " + kSecret});
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->may_read && both->may_write);
  const AccessRules only_readers({}, {.change = std::nullopt, .read = Token(reading)});
  EXPECT_FALSE(only_readers.judge({.authorization = "Bearer " + kSecret, .from_here = true}));
}

TEST(AccessRules, ACertificateLetsReadFromElsewhere) {
  const AccessRules rules({}, {.change = Token(kSecret), .read = std::nullopt});
  const auto certified = rules.judge({.host = "192.0.2.1", .is_certified = true});
  ASSERT_TRUE(certified);
  EXPECT_TRUE(certified->may_read);
  EXPECT_FALSE(certified->may_write);
  EXPECT_FALSE(rules.judge({.host = "192.0.2.1", .authorization = "Bearer x", .is_certified = true}));
}

TEST(AccessRules, RefuseForeignNames) {
  const AccessRules rules({"Edge1.example.net"}, {});
  for (const std::string_view host : {"127.0.0.1", "127.0.0.1:9125", "[::1]:9125", "[2001:db8::1]", "localhost:9125",
                                      "LOCALHOST", "edge1.example.net:80", "edge1.example.net.", ""}) {
    EXPECT_TRUE(rules.judge({.host = host, .from_here = true})) << host;
  }
  for (const std::string_view host :
       {"evil.example", "evil.example:9125", "127.0.0.1.evil.example", "localhost.evil", "edge1.example.net.evil", "[",
        "[]", "[evil.example]", ":9125", ".", "999.0.0.1"}) {
    const auto granted = rules.judge({.host = host, .from_here = true});
    ASSERT_FALSE(granted) << host;
    EXPECT_EQ(granted.error().status, http::status::misdirected_request);
  }
}

class TokenFile : public testing::Test {
 protected:
  TokenFile() {
    char name[] = "/tmp/sluice-token-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/token";
  }
  ~TokenFile() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string directory_, path_;
};

TEST_F(TokenFile, IsReadOnce) {
  for (const mode_t mode : {0600, 0640, 0400, 0440}) {
    write(kSecret + "\n", mode);
    const auto token = Token::read(path_);
    ASSERT_TRUE(token) << token.error();
    EXPECT_TRUE(token->matches(kSecret));
    EXPECT_FALSE(token->matches(kSecret + "\n"));
    std::filesystem::remove(path_);
  }
}

TEST_F(TokenFile, HasToBeOutOfOthersReach) {
  for (const mode_t mode : {0644, 0604, 0620, 0660, 0602, 0777}) {
    write(kSecret, mode);
    const auto token = Token::read(path_);
    ASSERT_FALSE(token) << std::oct << mode;
    EXPECT_NE(token.error().find("has mode"), std::string::npos) << token.error();
    EXPECT_EQ(token.error().find(kSecret), std::string::npos);
  }
}

TEST_F(TokenFile, HasToHoldAToken) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("short"), kSecret + " " + kSecret, kSecret + "\n" + kSecret,
        std::string(600, 'x'), kSecret + std::string(1, '\0'), std::string(1 << 20, 'x'), kSecret + "\r\n"}) {
    write(text);
    const auto token = Token::read(path_);
    ASSERT_FALSE(token) << text.size();
    EXPECT_NE(token.error().find("holds no token"), std::string::npos) << token.error();
  }
  EXPECT_NE(Token::read(directory_ + "/absent").error().find("No such file"), std::string::npos);
  EXPECT_NE(Token::read(directory_).error().find("is not a file"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
