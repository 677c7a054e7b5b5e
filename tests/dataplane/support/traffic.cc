// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/traffic.h"

#include <algorithm>
#include <cstring>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/icmp_frame.h"

namespace sluice::testing {
namespace {

/// A service and the one backend that its replies come from.
struct Place {
  Endpoint vip;
  Endpoint backend;
};

const std::array<Place, 5> kPlaces{{
    {endpoint("192.0.2.25", 25), endpoint("10.0.1.10", 2525)},
    {endpoint("2001:db8:25::25", 25), endpoint("fd00:1::10", 2525)},
    {endpoint("192.0.2.26", 587), endpoint("10.0.1.11", 587)},
    {endpoint("192.0.2.27", 25), endpoint("10.0.1.10", 2525)},
    {endpoint("192.0.2.28", 465), endpoint("10.0.1.12", 465)},
}};

Endpoint client_endpoint(uint32_t n, bool v6) {
  const auto port = static_cast<uint16_t>(40000 + n);
  return v6 ? endpoint("2001:db8:1::7", port) : endpoint("198.51.100.7", port);
}

bool is_v6(uint32_t service) {
  return service == 1;
}

}  // namespace

void Traffic::configure(WorkerBench& bench) {
  for (uint16_t id = 0; id < kPlaces.size(); id++) {
    // Services 0 and 3 lead to the same endpoint: replies to 3 are ambiguous, and clients may collide.
    bench.put_sole_backend(id, kPlaces[id].backend, id == 0 || id == 3 ? channel::kNoService : id);
  }
  channel::PutService plain{};
  channel::PutService proxied{};
  proxied.proxy = channel::ProxyHeader::kV2;
  channel::PutService clamped{};
  clamped.mss = 1200;
  clamped.on_no_backend = channel::OnNoBackend::k421;
  bench.put_service(0, kPlaces[0].vip, {0}, plain);
  bench.put_service(1, kPlaces[1].vip, {1}, plain);
  bench.put_service(2, kPlaces[2].vip, {2}, proxied);
  bench.put_service(3, kPlaces[3].vip, {3}, clamped);
  bench.put_service(4, kPlaces[4].vip, {4, 0xffff, 16000, 4}, plain);
  bench.turn();
}

uint8_t Traffic::byte() {
  return at_ < bytes_.size() ? bytes_[at_++] : uint8_t{0};
}

Bytes Traffic::raw(size_t at_most) {
  const size_t n = std::min({at_most, bytes_.size() - at_, size_t{byte()}});
  const size_t end = std::min(at_ + n, bytes_.size());
  Bytes out(bytes_.begin() + static_cast<ptrdiff_t>(at_), bytes_.begin() + static_cast<ptrdiff_t>(end));
  at_ = end;
  return out;
}

Bytes Traffic::payload(bool from_client) {
  static const std::array<std::string, 8> kClientSays{"",
                                                      "EHLO client.example\r\n",
                                                      "MAIL FROM:<a@b>\r\n",
                                                      "RCPT TO:<c@d>\r\n",
                                                      "DATA\r\n",
                                                      ".\r\n",
                                                      "STARTTLS\r\n",
                                                      "QUIT\r\n"};
  static const std::array<std::string, 8> kServerSays{"",
                                                      "220 mta ESMTP\r\n",
                                                      "250-mta\r\n250 STARTTLS\r\n",
                                                      "354 go\r\n",
                                                      "250 2.0.0 Ok\r\n",
                                                      "451 4.7.1 later\r\n",
                                                      "550 5.7.1 no\r\n",
                                                      "221 bye\r\n"};
  const uint8_t choice = byte();
  if (choice < 0xc0) {
    const std::string& text = (from_client ? kClientSays : kServerSays)[choice % 8];
    return {text.begin(), text.end()};
  }
  if (choice < 0xe0) return raw(64);
  return Bytes(choice < 0xf0 ? 1400 : 3000, 'x');  // the second is too long for any way
}

Frame Traffic::segment(uint32_t client, uint32_t service, bool from_client) {
  Conversation& conversation = conversations_[client][service];
  const Endpoint from = client_endpoint(client, is_v6(service));
  const Place& place = kPlaces[service];
  Frame frame;
  if (from_client) {
    frame.from(from).to(place.vip);
  } else {
    frame.from(place.backend).to(from).from_mac(WorkerBench::backend_mac(static_cast<uint16_t>(service)));
  }
  uint32_t& own = from_client ? conversation.client_next : conversation.server_next;
  const uint32_t other = from_client ? conversation.server_next : conversation.client_next;
  const uint8_t kind = byte();
  uint32_t sequence = own;
  if ((kind & 0xf8) == 0xf8) sequence += word() - 0x8000U;  // from elsewhere
  switch (kind & 7) {
    case 0:
      frame.syn().seq(sequence).tcp_options({2, 4, 5, 0xb4});
      if (!from_client) frame.ack(other);
      own = sequence + 1;
      break;
    case 1:
      frame.seq(sequence).ack(other).fin();
      own = sequence + 1;
      break;
    case 2:
      frame.seq(sequence).rst();
      if ((kind & 8) != 0) frame.ack(other);
      break;
    case 3:
      frame.seq(sequence).ack(other).tcp_options({8, 10, 1, 2, 3, 4, 5, 6, 7, 8});
      break;
    case 4:
      frame.seq(sequence).ack(other).tcp_options(raw(40));
      break;
    default: {
      const Bytes bytes = payload(from_client);
      frame.seq(sequence).ack(other).psh().payload(bytes);
      own = sequence + static_cast<uint32_t>(bytes.size());
      break;
    }
  }
  if ((kind & 0x70) == 0x70) frame.vlan(byte());
  if ((kind & 0x70) == 0x60) frame.ttl(byte() % 4);
  if ((kind & 0x70) == 0x50 && !is_v6(service)) frame.ip_options({1, 1, 1, 0});
  return frame;
}

Bytes Traffic::icmp(uint32_t client, uint32_t service, bool from_client) {
  const bool v6 = is_v6(service);
  const Conversation& conversation = conversations_[client][service];
  const Endpoint at_client = client_endpoint(client, v6);
  const Place& place = kPlaces[service];
  // A client's side complains of what the VIP sent it, a backend's of what the client sent it.
  Frame about;
  if (from_client) {
    about.from(place.vip).to(at_client).seq(conversation.server_next).ack(conversation.client_next);
  } else {
    about.from(at_client).to(place.backend).seq(conversation.client_next).ack(conversation.server_next);
  }
  IcmpFrame frame;
  frame.destination_mac = from_client ? WorkerBench::front_mac() : WorkerBench::back_mac();
  frame.source = from_client ? at_client.address : place.backend.address;
  frame.destination = from_client ? place.vip.address : at_client.address;
  const uint8_t kind = byte();
  frame.type = v6 ? static_cast<uint8_t>(kind % 5) : static_cast<uint8_t>((kind & 1) != 0 ? 3 : kind % 16);
  frame.code = static_cast<uint8_t>(kind >> 4);
  frame.rest = word();
  frame.quoted = ip_packet(about.bytes(), 20U + kind % 64);
  return frame.bytes();
}

channel::Command Traffic::command() {
  channel::Command out;
  const Bytes content = raw(sizeof out.bytes);
  std::copy(content.begin(), content.end(), out.bytes);
  const uint8_t what = byte() % 11;
  if (what == 10) {  // one that is in use is down, to be cut, or leaves
    const auto id = static_cast<uint16_t>(byte() % kPlaces.size());
    channel::PutBackend backend = WorkerBench::backend_message(id, kPlaces[id].backend);
    backend.sole_service = id == 0 || id == 3 ? channel::kNoService : id;
    backend.flags = byte() & 15;
    return channel::Command(backend);
  }
  out.header.type = static_cast<channel::CommandType>(what);
  if ((byte() & 1) != 0) out.header.id = static_cast<uint16_t>(out.header.id % 8);  // one that is in use
  return out;
}

void Traffic::spoil(Bytes& frame) {
  if (frame.empty()) return;
  for (uint8_t flips = byte() % 4; flips != 0; flips--) frame[word() % frame.size()] ^= byte();
  if ((byte() & 7) == 0) frame.resize(word() % frame.size() + 1);
}

std::optional<Step> Traffic::next() {
  if (at_ >= bytes_.size()) return std::nullopt;
  const uint8_t choice = byte();
  const uint8_t who = byte();
  const uint32_t client = who % kClients;
  const uint32_t service = who / kClients % kServices;
  const bool from_client = (choice & 0x80) == 0;
  Step step;
  step.kind = from_client ? Step::Kind::kClientFrame : Step::Kind::kBackendFrame;
  const MacAddress station = from_client ? WorkerBench::front_mac() : WorkerBench::back_mac();
  const uint8_t action = choice & 0x0f;
  if (action == 10) {
    step.frames = {icmp(client, service, from_client)};
  } else if (action == 11) {
    step.frames =
        cut(segment(client, service, from_client).to_mac(station).bytes(), 24U + byte() / 8 * 8U, fragment_id_++ % 64);
    if ((choice & 0x40) != 0) std::reverse(step.frames.begin(), step.frames.end());
  } else if (action == 12 && hostile_) {
    step.kind = Step::Kind::kCommand;
    step.command = command();
  } else if (action == 13 && hostile_) {
    step.frames = {raw(128)};
  } else if (action == 14) {
    step.kind = Step::Kind::kWait;
    step.wait_ms = hostile_ ? uint64_t{byte()} * byte() : byte() % 8;
  } else if (action == 15) {
    step.kind = Step::Kind::kTurn;
  } else {
    step.frames = {segment(client, service, from_client).to_mac(station).bytes()};
  }
  if ((choice & 0x30) == 0x30) {
    for (Bytes& frame : step.frames) spoil(frame);
  }
  std::erase_if(step.frames, [](const Bytes& frame) { return frame.empty() || frame.size() > 2000; });
  return step;
}

}  // namespace sluice::testing
