import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Pencil, Trash2, X } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { groups, targets, users } from '@/api/hub'
import { EntityActivity } from '@/components/activity'
import { Badge } from '@/components/badge'
import { Button, IconButton } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { CopyValue } from '@/components/copy'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { MultiPick } from '@/components/pickers'
import { asProblem, ErrorState, InlineProblem } from '@/components/states'
import { may, roleName } from '@/lib/access'
import { GroupForm } from './form'

const route = getRouteApi('/signed-in/frame/groups/$id')
const NOBODY: string[] = []

/** One group: its members and what it opens. */
export function GroupPage() {
  const me = useMe()
  const navigate = useNavigate()
  const { id } = route.useParams()
  const query = useQuery(groups.one(id))
  const memberList = useInfiniteQuery(groups.members(id))
  const everybody = useQuery(users.all())
  const targetList = useQuery(targets.all())
  const [dialog, setDialog] = useState<'edit' | 'delete' | null>(null)
  const change = useMutation({
    mutationFn: ({ user, member }: { user: string; member: boolean }) => groups.setMember(id, user, member),
    onError: (error) => toast.error(asProblem(error).message),
  })
  const group = query.data
  if (query.isError && !group) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!group) return <DetailSkeleton />
  const editable = may(me, 'administer') && group.source === 'local'
  const members = memberList.data?.pages.flatMap((page) => page.items) ?? []
  const inside = new Set(members.map((member) => member.id))
  const opens = targetList.data?.filter((target) => target.group_ids.includes(id)) ?? []
  return (
    <Page title={group.name} crumbs={[{ label: 'Groups', to: '/groups' }]} description={group.description} badge={<Badge>{group.source === 'local' ? 'Local' : 'Directory'}</Badge>}
      actions={editable && (
        <>
          <Button icon={Pencil} onClick={() => setDialog('edit')}>Edit</Button>
          <MoreMenu label="More"><MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>Delete…</MenuItem></MoreMenu>
        </>
      )}>
      <Columns
        main={
          <Card flush title={`Members (${group.member_count})`}
            actions={editable && <MultiPick noun="members" value={NOBODY} loading={everybody.isPending} onChange={([user]) => user && change.mutate({ user, member: true })}
              options={(everybody.data ?? []).filter((user) => !inside.has(user.id)).map((user) => ({ id: user.id, label: user.display_name || user.username, hint: user.username }))} />}>
            {memberList.isError && <InlineProblem error={memberList.error} className="m-4" />}
            {memberList.data && members.length === 0 && <p className="px-4 py-6 text-center text-sm text-faint">Nobody is in it yet.</p>}
            <ul className="divide-y divide-line">
              {members.map((member) => (
                <li key={member.id} className="flex items-center gap-3 px-4 py-2 text-sm">
                  <Link to="/users/$id" params={{ id: member.id }} className="min-w-0 flex-1 truncate font-medium hover:underline">{member.display_name || member.username}</Link>
                  <span className="truncate text-xs text-faint">{member.username}</span>
                  {editable && <IconButton icon={X} size="sm" label={`Remove ${member.username}`} onClick={() => change.mutate({ user: member.id, member: false })} />}
                </li>
              ))}
            </ul>
            {memberList.hasNextPage && <Button className="m-3" busy={memberList.isFetchingNextPage} onClick={() => void memberList.fetchNextPage()}>Show more</Button>}
          </Card>
        }
        side={
          <>
            <Card title="Group">
              <Facts>
                <Fact label="Roles given">{group.roles.length > 0 && group.roles.map((role) => <Badge key={role}>{roleName(role)}</Badge>)}</Fact>
                {group.external_id && <Fact label="Directory id"><CopyValue value={group.external_id} /></Fact>}
              </Facts>
            </Card>
            <Card title="Opens these targets">
              {opens.length === 0 && <p className="text-sm text-faint">None yet. Add the group to a target.</p>}
              <ul className="flex flex-col gap-1 text-sm">{opens.map((target) => <li key={target.id}><Link to="/targets/$id" params={{ id: target.id }} className="text-accent-text hover:underline">{target.name}</Link></li>)}</ul>
            </Card>
            <EntityActivity objectId={group.id} />
          </>
        } />
      {dialog === 'edit' && <GroupForm group={group} onClose={() => setDialog(null)} />}
      {dialog === 'delete' && (
        <ConfirmDialog open onClose={() => setDialog(null)} title={`Delete the group ${group.name}?`} action="Delete group" nameToType={group.name}
          onConfirm={async () => {
            await groups.remove(group.id)
            toast.success(`Group ${group.name} deleted`)
            void navigate({ to: '/groups' })
          }}>Its {group.member_count} members lose what only this group opens to them.</ConfirmDialog>
      )}
    </Page>
  )
}
