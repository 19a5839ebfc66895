#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# udhcpc runs this with what the network's server gave; the first router is the way out.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr replace "$ip/${mask:-24}" dev "$interface"
for address in $router; do
  ip route replace default via "$address" dev "$interface"
  break
done
for address in $dns; do echo "nameserver $address"; done >/etc/resolv.conf
echo "guest: net $interface $ip" >/dev/console
