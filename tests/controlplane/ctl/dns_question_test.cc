// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/dns_question.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <thread>

#include "controlplane/base/descriptor.h"
#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using What = DnsSaid::What;

/// An answer to a question of id 0x1234: flags of the third and fourth byte, and how many records it has.
std::vector<uint8_t> answer(uint8_t flags, uint8_t code, uint8_t records) {
  return {0x12, 0x34, flags, code, 0, 1, 0, records, 0, 0, 0, 0};
}

TEST(DnsQuestion, IsAMessageOfOneQuestion) {
  const std::vector<uint8_t> wanted{0x12, 0x34, 1,   0,   0,   1,   0,   0,   0,   0, 0, 0,  2, 'm',
                                    'x',  7,    'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 28, 0, 1};
  EXPECT_EQ(dns_question(0x1234, "mx.example", DnsType::kAaaa), wanted);
  EXPECT_EQ(dns_question(0x1234, "mx.example.", DnsType::kAaaa), wanted);
}

TEST(DnsQuestion, IsNotMadeOfWhatIsNoName) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string("a..b"), std::string(64, 'a') + ".example", std::string(300, 'a')})
    EXPECT_TRUE(dns_question(1, name, DnsType::kA).empty()) << name;
}

TEST(DnsSaidOf, AMessageIsRecordsOrNoneOrAFault) {
  EXPECT_EQ(dns_said(0x1234, answer(0x81, 0x80, 1)).what, What::kRecords);
  EXPECT_EQ(dns_said(0x1234, answer(0x83, 0x80, 0)).what, What::kRecords) << "cut short: too many";
  EXPECT_EQ(dns_said(0x1234, answer(0x81, 0x80, 0)).what, What::kNone);
  EXPECT_EQ(dns_said(0x1234, answer(0x81, 0x83, 0)).what, What::kNone) << "no such name";
  EXPECT_EQ(dns_said(0x1234, answer(0x81, 0x82, 0)).fault, "SERVFAIL");
  EXPECT_EQ(dns_said(0x1234, answer(0x81, 0x89, 0)).fault, "code 9");
}

TEST(DnsSaidOf, WhatIsNoAnswerIsSilence) {
  EXPECT_EQ(dns_said(0x4321, answer(0x81, 0x80, 1)).what, What::kSilent) << "to another question";
  EXPECT_EQ(dns_said(0x1234, answer(0x01, 0x80, 1)).what, What::kSilent) << "a question";
  const auto whole = answer(0x81, 0x80, 1);
  for (size_t bytes = 0; bytes < whole.size(); bytes++)
    EXPECT_EQ(dns_said(0x1234, std::span(whole).first(bytes)).what, What::kSilent);
}

/// A socket on a port of its own.
class Server {
 public:
  Server() {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
    socklen_t size = sizeof here;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&here), &size);
    address_ = {ip("127.0.0.1"), ntohs(here.sin_port)};
  }
  /// Leaves the first question unanswered, and answers the second one that it has such a record.
  void answer_the_second() {
    std::array<uint8_t, 512> message{};
    sockaddr_in from{};
    for (int i = 0; i < 2; i++) {
      socklen_t size = sizeof from;
      const ssize_t n =
          recvfrom(socket_.get(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 0) return;
      if (i == 0) continue;
      message[2] |= 0x80;
      message[7] = 1;
      sendto(socket_.get(), message.data(), static_cast<size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  const config::SocketAddress& address() const { return address_; }

 private:
  control::Descriptor socket_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  config::SocketAddress address_;
};

TEST(AskDns, AsksOnceMoreWhereAQuestionIsLost) {
  Server server;
  const std::jthread answering([&] { server.answer_the_second(); });
  EXPECT_EQ(ask_dns({server.address(), ""}, "mx.example", DnsType::kA).what, What::kRecords);
}

TEST(AskDns, GivesUpASilentServer) {
  const Server server;
  EXPECT_EQ(ask_dns({server.address(), ""}, "mx.example", DnsType::kA).what, What::kSilent);
}

}  // namespace
}  // namespace sluice::ctl
