-- SPDX-License-Identifier: Apache-2.0
-- health: prefix; gives result: that scripts run here and that they may write
redis.call('SET', ARGV[1] .. 'probe', '1', 'PX', '60000')
return {'OK'}
