// SPDX-License-Identifier: Apache-2.0
//
// What goes to other machines: messages of the system log, and IPFIX, read here by what RFC 7011 says alone.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/records/ipfix_output.h"
#include "controlplane/records/syslog_output.h"
#include "tests/controlplane/support/known_session.h"

namespace sluice::control {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

/// A UDP socket on this machine.
class Receiver {
 public:
  Receiver() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    socklen_t bytes = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    name_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Receiver() { close(fd_); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  const std::string& name() const { return name_; }
  /// Datagrams that have come.
  std::vector<std::string> take() const {
    std::vector<std::string> out;
    char bytes[65536];
    for (ssize_t n; (n = recv(fd_, bytes, sizeof bytes, 0)) >= 0;) out.emplace_back(bytes, static_cast<size_t>(n));
    return out;
  }

 private:
  int fd_;
  std::string name_;
};

/// Reads numbers from the front of a text.
class Wire {
 public:
  explicit Wire(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  size_t size() const { return text_.size(); }
  std::string take(size_t bytes) {
    EXPECT_LE(bytes, text_.size());
    std::string out = text_.substr(0, bytes);
    text_.erase(0, bytes);
    return out;
  }
  uint64_t number(size_t bytes) {
    uint64_t out = 0;
    for (const char c : take(bytes)) out = out << 8 | static_cast<uint8_t>(c);
    return out;
  }

 private:
  std::string text_;
};

using ElementId = std::pair<uint32_t, uint16_t>;  // enterprise, number
using FlowRecord = std::map<ElementId, std::string>;
constexpr uint32_t kOurs = 32473;

/// A collector of IPFIX.
class Collector {
 public:
  void read(const std::string& message) {
    Wire wire(message);
    EXPECT_EQ(wire.number(2), 10u) << "version";
    EXPECT_EQ(wire.number(2), message.size());
    wire.take(12);
    while (!wire.empty()) {
      const uint64_t id = wire.number(2);
      Wire set(wire.take(wire.number(2) - 4));
      if (id == 2) read_templates(set);
      if (templates_.contains(id)) read_records(templates_[id], set);
      if (id > 255 && !templates_.contains(id)) (templates_.empty() ? described_ : described_late_) = true;
    }
  }
  std::vector<FlowRecord> records;
  /// Whether all elements were described before a template named them.
  bool described() const { return described_ && !described_late_; }

 private:
  struct Field {
    ElementId id;
    uint16_t bytes;
  };
  void read_templates(Wire& set) {
    while (set.size() >= 4) {
      auto& fields = templates_[set.number(2)];
      fields.clear();
      for (uint64_t left = set.number(2); left > 0; left--) {
        const auto number = static_cast<uint16_t>(set.number(2));
        const auto bytes = static_cast<uint16_t>(set.number(2));
        const uint32_t enterprise = (number & 0x8000) != 0 ? static_cast<uint32_t>(set.number(4)) : 0;
        fields.push_back({{enterprise, static_cast<uint16_t>(number & 0x7fff)}, bytes});
      }
    }
  }
  void read_records(const std::vector<Field>& fields, Wire& set) {
    while (set.size() >= 60) {  // what is shorter pads the set
      FlowRecord record;
      for (const Field& field : fields) {
        size_t bytes = field.bytes;
        if (bytes == 65535) bytes = set.number(1);
        if (field.bytes == 65535 && bytes == 255) bytes = set.number(2);
        record[field.id] = set.take(bytes);
      }
      records.push_back(record);
    }
  }

  std::map<uint64_t, std::vector<Field>> templates_;
  bool described_ = false;
  bool described_late_ = false;
};

uint64_t number(const FlowRecord& record, ElementId id) {
  Wire wire(record.at(id));
  return wire.number(wire.size());
}

KnownSession refused_over_ipv6() {
  KnownSession out = ordinary_session();
  inet_pton(AF_INET6, "2001:db8::7", out.record.client.address.bytes.data());
  out.service = std::make_shared<const ServiceNames>("relay6", "2001:db8:25::25", uint16_t{587});
  out.backend = nullptr;
  out.record.end = channel::SessionEnd::kCut;
  out.record.cause = static_cast<uint16_t>(channel::Counter::kFlowsCutDown);
  out.record.notes.set_last_refusal({.code = 550,
                                     .subject = 7,
                                     .detail = 1,
                                     .enhanced = true,
                                     .step = static_cast<uint8_t>(channel::SmtpStep::kRcpt)});
  out.record.notes.refused[channel::SessionNotes::place_of(channel::SmtpStep::kRcpt)] = 2;
  out.record.notes.flags |= channel::kSessionEarly;
  return out;
}

TEST(Ipfix, TellsOfASessionByElementsThatEveryCollectorKnowsAndByOurs) {
  const Receiver receiver;
  IpfixOutput output(receiver.name());
  KnownSession good = ordinary_session();
  good.record.notes.count_sent_again(false);
  good.hello = std::make_shared<const ClientHello>(ClientHello{.server_name = "mx.example.net",
                                                               .alpn = "",
                                                               .version = 0x0304,
                                                               .names_server = true,
                                                               .ciphers = {},
                                                               .extensions = {0},
                                                               .signature_algorithms = {}});
  KnownSession bad = refused_over_ipv6();
  bad.block = std::make_shared<const BlockNames>("2001:db8::/64", "file");
  const KnownSession* sessions[] = {&good, &bad};
  const Written done = output.write(sessions, {.node = "edge1", .wall_offset_ms = 1'700'000'000'000 - 5'000'000'000});
  EXPECT_EQ(done.fault, "");
  EXPECT_EQ(done.records, 2u);
  Collector collector;
  for (const std::string& message : receiver.take()) collector.read(message);
  ASSERT_EQ(collector.records.size(), 2u);
  EXPECT_TRUE(collector.described());
  const FlowRecord& first = collector.records[0];
  EXPECT_EQ(number(first, {0, 8}), 0xc6336407u) << "sourceIPv4Address";
  EXPECT_EQ(number(first, {0, 7}), 40000u);
  EXPECT_EQ(number(first, {0, 12}), 0xc0000219u) << "destinationIPv4Address";
  EXPECT_EQ(number(first, {0, 11}), 25u);
  EXPECT_EQ(number(first, {0, 226}), 0x0a00010au) << "postNATDestinationIPv4Address";
  EXPECT_EQ(number(first, {0, 228}), 2525u);
  EXPECT_EQ(number(first, {0, 4}), 6u);
  EXPECT_EQ(number(first, {0, 152}), 1'700'000'000'000u) << "flowStartMilliseconds";
  EXPECT_EQ(number(first, {0, 153}), 1'700'000'001'500u);
  EXPECT_EQ(number(first, {0, 231}), 900u) << "initiatorOctets";
  EXPECT_EQ(number(first, {0, 232}), 300u);
  EXPECT_EQ(number(first, {0, 298}), 12u) << "initiatorPackets";
  EXPECT_EQ(number(first, {0, 299}), 10u);
  EXPECT_EQ(number(first, {0, 136}), 3u) << "flowEndReason";
  EXPECT_EQ(first.at({kOurs, 1}), "edge1");
  EXPECT_EQ(first.at({kOurs, 2}), "relay");
  EXPECT_EQ(first.at({kOurs, 4}), "mta1");
  EXPECT_EQ(first.at({kOurs, 5}), "closed");
  EXPECT_EQ(number(first, {kOurs, 8}), 2u) << "not failed";
  EXPECT_EQ(number(first, {kOurs, 10}), 220u);
  EXPECT_EQ(number(first, {kOurs, 13}), 1u);
  EXPECT_EQ(first.at({kOurs, 17}), "");
  EXPECT_EQ(number(first, {kOurs, 19}), 0u);
  EXPECT_EQ(number(first, {kOurs, 20}), 1u);
  EXPECT_EQ(first.at({kOurs, 21}), "mx.example.net");
  EXPECT_EQ(first.at({kOurs, 22}), "1.3");
  EXPECT_EQ(first.at({kOurs, 23}), "t13d000100_000000000000_000000000000");
  EXPECT_EQ(first.at({kOurs, 27}), "table");
  EXPECT_EQ(number(first, {kOurs, 28}), 5u);
  EXPECT_EQ(number(first, {kOurs, 29}), 7u);
  EXPECT_EQ(number(first, {kOurs, 37}), 1u) << "STARTTLS was offered";
  EXPECT_EQ(number(first, {kOurs, 38}), 2u) << "and not asked for";
  EXPECT_EQ(first.at({kOurs, 39}), "");
  EXPECT_EQ(number(first, {kOurs, 40}), 1u) << "QUIT";
  for (const uint16_t unsaid : {41, 42, 43, 44}) EXPECT_EQ(number(first, {kOurs, unsaid}), 2u) << unsaid;
  const FlowRecord& second = collector.records[1];
  EXPECT_EQ(second.at({0, 27}).substr(0, 4), "\x20\x01\x0d\xb8");
  EXPECT_EQ(second.at({0, 28}).back(), '\x25');
  EXPECT_FALSE(second.contains({0, 8})) << "no IPv4 in a record of IPv6";
  EXPECT_EQ(number(second, {0, 136}), 4u);
  EXPECT_EQ(second.at({kOurs, 7}), "backend_down");
  EXPECT_EQ(number(second, {kOurs, 8}), 1u);
  EXPECT_EQ(number(second, {kOurs, 16}), 550u);
  EXPECT_EQ(second.at({kOurs, 17}), "rcpt");
  EXPECT_EQ(second.at({kOurs, 18}), "5.7.1");
  EXPECT_EQ(second.at({kOurs, 23}), "") << "no TLS was begun";
  EXPECT_EQ(number(second, {kOurs, 24}), 0u);
  for (const uint16_t step : {30, 31, 32, 33, 35, 36}) EXPECT_EQ(number(second, {kOurs, step}), 0u) << step;
  EXPECT_EQ(number(second, {kOurs, 34}), 2u) << "refused at RCPT";
  EXPECT_EQ(number(second, {kOurs, 42}), 1u) << "an early talker";
  EXPECT_EQ(second.at({kOurs, 25}), "2001:db8::/64");
  EXPECT_EQ(second.at({kOurs, 26}), "file");
}

TEST(Ipfix, PutsAsManySessionsIntoAMessageAsFit) {
  const Receiver receiver;
  IpfixOutput output(receiver.name());
  const KnownSession session = ordinary_session();
  const std::vector<const KnownSession*> many(100, &session);
  EXPECT_EQ(output.write(many, {.node = "edge1"}).records, 100u);
  const auto messages = receiver.take();
  EXPECT_LT(messages.size(), 40u);
  Collector collector;
  for (const std::string& message : messages) {
    EXPECT_LE(message.size(), 1472u) << "an Ethernet frame's";
    collector.read(message);
  }
  EXPECT_EQ(collector.records.size(), 100u);
}

TEST(Ipfix, ACollectorThatBeginsLaterIsToldWhatRecordsMeanAfterReopening) {
  const Receiver receiver;
  IpfixOutput output(receiver.name());
  const KnownSession session = ordinary_session();
  const KnownSession* sessions[] = {&session};
  output.write(sessions, {.node = "edge1"});
  receiver.take();
  output.reopen();
  output.write(sessions, {.node = "edge1"});
  Collector late;
  for (const std::string& message : receiver.take()) late.read(message);
  EXPECT_EQ(late.records.size(), 1u);
}

TEST(Ipfix, WithoutACollectorRecordsAreLostAndItIsTold) {
  std::string nobody;
  {
    const Receiver receiver;
    nobody = receiver.name();
  }
  IpfixOutput output(nobody);
  const KnownSession session = ordinary_session();
  const KnownSession* sessions[] = {&session};
  uint64_t lost = 0;
  for (int i = 0; i < 20 && lost == 0; i++) {  // the refusal comes by ICMP, with a later send
    const Written done = output.write(sessions, {.node = "edge1"});
    EXPECT_EQ(done.records + done.lost, 1u);
    EXPECT_EQ(done.fault.starts_with(nobody + ": "), done.lost != 0) << done.fault;
    lost += done.lost;
  }
  EXPECT_GT(lost, 0u);
}

TEST(Syslog, SpeaksToAnotherMachineAsRfc5424Says) {
  const Receiver receiver;
  SyslogOutput output(receiver.name());
  const KnownSession session = ordinary_session();
  const KnownSession* sessions[] = {&session};
  EXPECT_EQ(output.write(sessions, {.node = "edge1", .wall_offset_ms = 1'700'000'000'000 - 5'000'000'000}).records, 1u);
  EXPECT_THAT(
      receiver.take(),
      ElementsAre(MatchesRegex("<22>1 2023-11-14T22:13:21.500Z edge1 sluice [0-9]+ session - \\{\"time\".*\\}")));
}

}  // namespace
}  // namespace sluice::control
