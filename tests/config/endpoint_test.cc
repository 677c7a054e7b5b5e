// SPDX-License-Identifier: Apache-2.0
#include "config/endpoint.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

TEST(Endpoint, ReadsWhatLeadsToAServer) {
  struct Case {
    const char* text;
    Endpoint wanted;
    const char* written;
  };
  const Case cases[] = {
      {"https://10.9.0.9:2380", {true, "10.9.0.9", 2380}, "https://10.9.0.9:2380"},
      {"https://etcd1.example.net", {true, "etcd1.example.net", 2379}, "https://etcd1.example.net:2379"},
      {"http://[::1]:1", {false, "::1", 1}, "http://[::1]:1"},
      {"http://[2001:db8::9]", {false, "2001:db8::9", 2379}, "http://[2001:db8::9]:2379"},
      {"http://localhost:65535", {false, "localhost", 65535}, "http://localhost:65535"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.text);
    const auto read = Endpoint::parse(each.text);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, each.wanted);
    EXPECT_EQ(read->to_string(), each.written);
  }
}

TEST(Endpoint, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "begins neither with https:// nor with http://"},
      {"10.9.0.9:2379", "begins neither with https:// nor with http://"},
      {"https://", "has no name or address of a host"},
      {"https://:2379", "has no name or address of a host"},
      {"https://-a", "has no name or address of a host"},
      {"https://a..b", "has no name or address of a host"},
      {"https://10.9.0", "has no address that is one"},
      {"https://10.9.0.256", "has no address that is one"},
      {"https://a/v3", "has more than a host and a port behind its scheme"},
      {"https://root@a", "has more than a host and a port behind its scheme"},
      {"https://a:", "has no port from 1 to 65535 behind its \":\""},
      {"https://a:0", "has no port from 1 to 65535 behind its \":\""},
      {"https://a:65536", "has no port from 1 to 65535 behind its \":\""},
      {"https://a:2379x", "has no port from 1 to 65535 behind its \":\""},
      {"https://[::1", "has no \"]\" behind its address"},
      {"https://[10.9.0.9]", "has no IPv6 address in its brackets"},
      {"https://[::1]2379", "has something else than a port behind its address"},
      {"https://2001:db8::9", "has no address that is one"},
  };
  for (const auto& [text, wanted] : cases) {
    SCOPED_TRACE(text);
    const auto read = Endpoint::parse(text);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error(), wanted);
  }
}

TEST(Endpoint, IsOnThisHostByItsAddressAlone) {
  const auto is_loopback = [](const char* text) { return Endpoint::parse(text)->is_loopback(); };
  EXPECT_TRUE(is_loopback("http://127.0.0.9"));
  EXPECT_TRUE(is_loopback("http://[::1]:2379"));
  EXPECT_FALSE(is_loopback("http://localhost"));
  EXPECT_FALSE(is_loopback("http://10.9.0.9"));
}

}  // namespace
}  // namespace sluice::config
