import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { X } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { groups, targets, users } from '@/api/hub'
import type { Group, GroupMember } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { Badge, RoleBadges } from '@/components/badge'
import { Button, IconButton } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { CopyValue, ShortId } from '@/components/copy'
import { Detail, EditAndDelete } from '@/components/detail'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { MultiPick } from '@/components/pickers'
import { SessionsThatEnd } from '@/components/sessions-that-end'
import { asProblem, InlineProblem, Skeleton } from '@/components/states'
import { TargetLinks } from '@/components/target-links'
import { may } from '@/lib/access'
import { personName } from '@/lib/format'
import { DeleteGroup } from './delete'
import { GroupForm } from './form'

const route = getRouteApi('/signed-in/frame/groups/$id')
const LIST = { label: 'Groups', to: '/groups' } as const
const NOBODY: string[] = []

/** One group: its members and what it opens. */
export function GroupPage() {
  const { id } = route.useParams()
  const query = useQuery(groups.one(id))
  return (
    <Detail query={query} noun="group" list={LIST}>
      {(group) => <GroupDetail group={group} />}
    </Detail>
  )
}

function GroupDetail({ group }: { group: Group }) {
  const navigate = useNavigate()
  const targetList = useQuery(targets.all())
  const [dialog, setDialog] = useState<'edit' | 'delete' | null>(null)
  const editable = may(useMe(), 'administer') && group.source === 'local'
  const opens = targetList.data?.filter((target) => target.group_ids.includes(group.id)) ?? []
  const close = () => setDialog(null)
  return (
    <Page
      title={group.name}
      crumbs={[LIST]}
      description={group.description}
      badge={<Badge>{group.source === 'local' ? 'Local' : 'Directory'}</Badge>}
      actions={editable && <EditAndDelete ask={setDialog} />}
    >
      <Columns
        main={
          <>
            <Members group={group} editable={editable} />
            <Card title="Opens these targets">
              {targetList.isPending && <Skeleton className="my-1 w-40" />}
              {targetList.data && opens.length === 0 && <p className="text-sm text-faint">None yet. Add the group to a target to let its members connect.</p>}
              <TargetLinks targets={opens} />
            </Card>
          </>
        }
        side={
          <>
            <Card title="Group">
              <Facts>
                <Fact label="Gives the roles">{group.roles.length > 0 && <RoleBadges roles={group.roles} />}</Fact>
                <Fact label="Members come">{group.source === 'local' ? 'By hand' : 'From the directory, at each sign-in'}</Fact>
                {group.external_id && (
                  <Fact label="Directory id">
                    <CopyValue value={group.external_id} />
                  </Fact>
                )}
                <Fact label="Id">
                  <ShortId id={group.id} />
                </Fact>
              </Facts>
            </Card>
            <EntityActivity objectId={group.id} />
          </>
        }
      />
      {dialog === 'edit' && <GroupForm group={group} onClose={close} />}
      {dialog === 'delete' && <DeleteGroup group={group} onClose={close} onDeleted={() => void navigate({ to: '/groups' })} />}
    </Page>
  )
}

function Members({ group, editable }: { group: Group; editable: boolean }) {
  const list = useInfiniteQuery(groups.members(group.id))
  const everybody = useQuery({ ...users.all(), enabled: editable })
  const [leaving, setLeaving] = useState<GroupMember | null>(null)
  const add = useMutation({
    mutationFn: (user: string) => groups.setMember(group.id, user, true),
    onError: (error) => toast.error(asProblem(error).message),
  })
  const members = list.data?.pages.flatMap((page) => page.items) ?? []
  const inside = new Set(members.map((member) => member.id))
  return (
    <Card
      flush
      title={`Members (${group.member_count.toLocaleString('en')})`}
      actions={
        editable && (
          <MultiPick
            noun="members"
            value={NOBODY}
            loading={everybody.isPending}
            onChange={([user]) => user && add.mutate(user)}
            options={(everybody.data ?? []).filter((user) => !inside.has(user.id)).map((user) => ({ id: user.id, label: personName(user), hint: user.username }))}
          />
        )
      }
    >
      {list.isError && <InlineProblem error={list.error} className="m-4" />}
      {list.isPending && <Skeleton className="m-4 w-48" />}
      {list.data && members.length === 0 && <p className="px-4 py-6 text-center text-sm text-faint">Nobody is in it yet.</p>}
      <ul className="divide-y divide-line">
        {members.map((member) => (
          <li key={member.id} className="flex min-h-11 items-center gap-3 px-4 py-1.5 text-sm">
            <Link to="/users/$id" params={{ id: member.id }} className="min-w-0 truncate rounded font-medium hover:underline">
              {personName(member)}
            </Link>
            <span className="min-w-0 flex-1 truncate text-xs text-faint">{member.display_name && member.username}</span>
            {editable && <IconButton icon={X} size="sm" label={`Remove ${member.username}`} onClick={() => setLeaving(member)} />}
          </li>
        ))}
      </ul>
      {list.hasNextPage && (
        <Button className="m-3" busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          Show more
        </Button>
      )}
      {leaving && (
        <ConfirmDialog
          onClose={() => setLeaving(null)}
          title={`Remove ${personName(leaving)} from ${group.name}?`}
          action="Remove member"
          onConfirm={() => groups.setMember(group.id, leaving.id, false)}
        >
          <strong>{personName(leaving)}</strong> loses what only this group gives. Of their open sessions, those on such targets end at once:
          <SessionsThatEnd of={{ user_id: leaving.id }} maybe />
        </ConfirmDialog>
      )}
    </Card>
  )
}
