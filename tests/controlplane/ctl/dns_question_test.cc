// SPDX-License-Identifier: Apache-2.0
//
// Against a server of the test's own, on the loopback.
#include "controlplane/ctl/doctor/dns_question.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <thread>

#include "controlplane/base/descriptor.h"
#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using What = DnsSaid::What;

/// What is made of a question's header, to answer it; false: nothing is answered.
using Answer = std::function<bool(HEADER& header)>;

/// A socket on a port of its own.
class Server {
 public:
  explicit Server(Answer answer = nullptr) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
    socklen_t size = sizeof here;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&here), &size);
    address_ = {ip("127.0.0.1"), ntohs(here.sin_port)};
    if (answer) answering_ = std::jthread([this, answer] { serve(answer); });
  }
  ~Server() { shutdown(socket_.get(), SHUT_RDWR); }

  DnsSaid asked(const std::string& name = "mx.example", DnsType type = DnsType::kA) const {
    return ask_dns({address_, ""}, name, type);
  }

 private:
  void serve(const Answer& answer) const {
    std::array<uint8_t, 512> message{};
    for (;;) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t n =
          recvfrom(socket_.get(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < static_cast<ssize_t>(sizeof(HEADER))) return;
      auto& header = *reinterpret_cast<HEADER*>(message.data());
      header.qr = 1;
      if (!answer(header)) continue;
      sendto(socket_.get(), message.data(), static_cast<size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  control::Descriptor socket_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  config::SocketAddress address_;
  std::jthread answering_;
};

Answer with_code(unsigned code, uint16_t records = 0) {
  return [=](HEADER& header) {
    header.rcode = code & 0x0fU;
    header.ancount = htons(records);
    return true;
  };
}

TEST(AskDns, TellsRecordsFromNone) {
  EXPECT_EQ(Server(with_code(ns_r_noerror, 1)).asked().what, What::kRecords);
  EXPECT_EQ(Server(with_code(ns_r_noerror)).asked().what, What::kNone);
  EXPECT_EQ(Server(with_code(ns_r_nxdomain)).asked().what, What::kNone);
  const auto cut_short = [](HEADER& header) {
    header.tc = 1;
    header.ancount = htons(1);
    return true;
  };
  EXPECT_EQ(Server(cut_short).asked("mx.example", DnsType::kTxt).what, What::kRecords) << "there is no TCP here";
}

TEST(AskDns, TellsWhatAServerSaysInsteadOfAnAnswer) {
  EXPECT_EQ(Server(with_code(ns_r_servfail)).asked().fault, "SERVFAIL");
  EXPECT_EQ(Server(with_code(ns_r_refused)).asked().fault, "REFUSED");
  EXPECT_EQ(Server(with_code(ns_r_servfail)).asked().what, What::kFault);
}

TEST(AskDns, AsksForNothingThatIsNoName) {
  const Server server;
  for (const std::string& name : {std::string("a..b"), std::string(64, 'a') + ".example", std::string(300, 'a')})
    EXPECT_EQ(server.asked(name).what, What::kNone) << name;
}

TEST(AskDns, AsksOnceMoreWhereAQuestionIsLost) {
  int questions = 0;
  const Server server([&](HEADER& header) {
    header.ancount = htons(1);
    return ++questions == 2;
  });
  EXPECT_EQ(server.asked().what, What::kRecords);
}

TEST(AskDns, GivesUpASilentServer) {
  EXPECT_EQ(Server().asked().what, What::kSilent);
}

TEST(AskDns, GoesNoOtherWayWhereTheLinkOfAServerIsNotThere) {
  EXPECT_EQ(ask_dns({{ip("fe80::1"), 53}, "no-such-link"}, "mx.example", DnsType::kA).what, What::kSilent);
}

}  // namespace
}  // namespace sluice::ctl
