// SPDX-License-Identifier: Apache-2.0
//
// What strings in the file have to look like.
#pragma once

#include <string>

namespace sluice::config {

/// What a string has to be: in words, and what is wrong with one ("is empty"; "" = nothing).
struct TextRule {
  std::string allowed;
  std::string (*wrong)(const std::string&);
};

TextRule name_rule();            // of a port, pool, backend, service, check, instance
TextRule group_rule();           // of users, by name, or ""
TextRule pool_rule();            // the name of a pool; whether there is one is for config/schema/rules.h
TextRule check_rule();           // the name of a check, or ""
TextRule interface_rule();       // of a network interface that we make
TextRule device_rule();          // a PCI address or a DPDK device string
TextRule mac_rule();             // of one station: "00:00:5e:00:01:19"
TextRule lcores_rule();          // config/schema/lcores.h; or ""
TextRule directory_rule();       // absolute, or "" for the default
TextRule store_rule();           // absolute, "auto" or ""
TextRule socket_path_rule();     // absolute, short enough for a Unix socket
TextRule listen_address_rule();  // ADDRESS:PORT, or ""
TextRule pattern_rule();         // config/schema/pattern.h
TextRule host_rule();            // a host name, or ""
TextRule keyword_rule();         // of EHLO (RFC 5321 section 4.1.1.1)
TextRule file_rule();            // absolute, or ""
TextRule refusal_rule();         // the text of a 421 reply, with an enhanced status code (RFC 3463)
TextRule domain_rule();          // a name of the DNS, or ""
TextRule node_rule();            // of a node: as name_rule(), or ""
TextRule endpoint_rule();        // config/endpoint.h
TextRule key_prefix_rule();      // of keys of etcd
TextRule records_rule();         // where records go, or ""

/// Why `text` is no address of a host on a network ("is a multicast address"); "" if it is one.
std::string address_fault(const std::string& text);
/// Likewise of a server that we ask, which may be on this host.
std::string server_address_fault(const std::string& text);

}  // namespace sluice::config
